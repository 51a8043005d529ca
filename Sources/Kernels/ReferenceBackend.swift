import Foundation
public import Tensors

/// Every operation as its formula says, in plain loops with sums in double precision: slow, and what the other backend is
/// compared with.
public final class ReferenceBackend: Backend {
  /// Always f32: 16-bit operands are not imitated.
  public let precision = Precision.f32
  let hostPool = HostPool()
  /// The host's memory.
  public var pool: any MemoryPool { hostPool }

  /// Needs nothing of the processor, and works on one thread.
  public init() {}

  /// A product in f32, whatever `precision` says.
  public func linear(weight: Tensor, bias: Tensor?, precision: Precision) -> any Linear {
    ReferenceLinear(weight: weight, bias: bias, pool: pool)
  }

  /// A convolution in f32 for any size; `precision`, `size` and `enlarging` do not matter here.
  public func convolution(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, precision: Precision, expecting size: MapSize,
    enlarging: Bool
  ) -> any Convolution {
    ReferenceConvolution(weight: weight, bias: bias, geometry: geometry, backend: self)
  }

  /// Mean and variance in two passes in double precision.
  public func factors(of norm: Norm, groups: Int, for x: FeatureMap, offset: FeatureMap?) -> NormFactors {
    let scale = FeatureMap(batch: x.batch, height: 1, width: 1, channels: x.channels, pool: pool)
    let shift = scale.similar(pool: pool), size = x.channels / groups
    precondition(x.channels % groups == 0, "\(x.channels) channels cannot be \(groups) groups")
    for sample in 0..<x.batch {
      let values = x.floats + sample * x.pixels * x.channels
      func value(_ pixel: Int, _ channel: Int) -> Double {
        Double(values[pixel * x.channels + channel])
          + (offset.map { Double($0.floats[sample * x.channels + channel]) } ?? 0)
      }
      for group in 0..<groups {
        let channels = group * size..<(group + 1) * size, count = Double(size * x.pixels)
        var mean = 0.0, variance = 0.0
        for pixel in 0..<x.pixels { for channel in channels { mean += value(pixel, channel) / count } }
        for pixel in 0..<x.pixels {
          for channel in channels {
            variance += (value(pixel, channel) - mean) * (value(pixel, channel) - mean) / count
          }
        }
        let factor = 1 / (variance + Double(norm.epsilon)).squareRoot()
        for channel in channels {
          let gain = Double(norm.scale.floats[channel]) * factor, place = sample * x.channels + channel
          scale.floats[place] = Float(gain)
          let added = offset.map { Double($0.floats[place]) } ?? 0
          shift.floats[place] = Float(Double(norm.shift.floats[channel]) + (added - mean) * gain)
        }
      }
    }
    return NormFactors(scale: scale, shift: shift, activation: .identity)
  }

  /// In f32, whatever `format` says.
  public func normalized(_ x: FeatureMap, by factors: NormFactors, as format: NumberFormat) -> FeatureMap {
    let result = x.similar(pool: pool)
    for i in 0..<x.count {
      let place = i / (x.pixels * x.channels) * x.channels + i % x.channels
      result.floats[i] = factors.activation(
        x.floats[i] * factors.scale.floats[place] + factors.shift.floats[place])
    }
    return result
  }

  /// In f32, whatever `format` says; sums in double precision.
  public func layerNorm(_ x: FeatureMap, _ norm: Norm, as format: NumberFormat) -> FeatureMap {
    let result = x.similar(pool: pool), count = Double(x.channels)
    for row in 0..<x.rows {
      let values = (0..<x.channels).map { Double(x.floats[row * x.channels + $0]) }
      let mean = values.reduce(0, +) / count
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
      let factor = 1 / (variance + Double(norm.epsilon)).squareRoot()
      for (channel, value) in values.enumerated() {
        result.floats[row * x.channels + channel] = Float(
          (value - mean) * factor * Double(norm.scale.floats[channel]) + Double(norm.shift.floats[channel]))
      }
    }
    return result
  }

  /// In f32, whatever `format` says; sums in double precision.
  public func tokenNorm(_ x: FeatureMap, _ norm: TokenNorm, as format: NumberFormat) -> FeatureMap {
    norm.requireFit(x)
    let result = x.similar(pool: pool), count = Double(x.channels)
    for row in 0..<x.rows {
      let values = (0..<x.channels).map { Double(x.floats[row * x.channels + $0]) }
      let mean = norm.isCentered ? values.reduce(0, +) / count : 0
      let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
      let factor = 1 / (square + Double(norm.epsilon)).squareRoot(), gains = norm.start(row / x.pixels)
      for (channel, value) in values.enumerated() {
        result.floats[row * x.channels + channel] = Float(
          (value - mean) * factor * Double(norm.gains.floats[gains + channel]))
      }
    }
    return result
  }

  /// Makes a new map for the sum.
  public func addTokenNorm(of x: FeatureMap, _ norm: TokenNorm, to sum: inout FeatureMap) {
    add(tokenNorm(x, norm, as: .f32), to: &sum)
  }

  /// In double precision.
  public func rotated(_ x: FeatureMap, heads: Int, norm: TokenNorm?, by table: RotationTable) -> FeatureMap {
    table.requireFit(x, heads: heads, norm: norm)
    let result = FeatureMap(batch: x.batch, height: x.height, width: x.width, channels: x.channels, pool: pool)
    let half = table.width, size = 2 * half
    for place in 0..<x.rows * heads {
      let row = place / heads, head = place % heads
      var values = (0..<size).map { Double(x.floats[row * x.pitch + head * size + $0]) }
      if let norm {
        let square = values.reduce(0) { $0 + $1 * $1 } / Double(size)
        let factor = 1 / (square + Double(norm.epsilon)).squareRoot()
        for i in 0..<size { values[i] *= factor * Double(norm.gains.floats[i]) }
      }
      for i in 0..<half {
        let (first, second) = table.style == .pairs ? (2 * i, 2 * i + 1) : (i, i + half)
        let angle = row % x.pixels * half + i
        let cosine = Double(table.cosines.floats[angle]), sine = Double(table.sines.floats[angle])
        let target = result.floats + place * size
        target[first] = Float(values[first] * cosine - values[second] * sine)
        target[second] = Float(values[first] * sine + values[second] * cosine)
      }
    }
    return result
  }

  /// With all scores of a query at a time, in double precision.
  public func attention(_ q: FeatureMap, _ k: FeatureMap, _ v: FeatureMap, heads: Int, isCausal: Bool) -> FeatureMap {
    let result = FeatureMap(batch: q.batch, height: q.height, width: q.width, channels: q.channels, pool: pool)
    let size = q.channels / heads, scale = 1 / Double(size).squareRoot(), sharing = q.channels / k.channels
    for sample in 0..<q.batch {
      for head in 0..<heads {
        let keyHead = head / sharing
        for query in 0..<q.pixels {
          let own = q.floats + (sample * q.pixels + query) * q.pitch + head * size
          let seen = isCausal ? query + 1 : k.pixels
          let scores = (0..<seen).map { key in
            let other = k.floats + (sample * k.pixels + key) * k.pitch + keyHead * size
            return (0..<size).reduce(0.0) { $0 + Double(own[$1]) * Double(other[$1]) } * scale
          }
          let highest = scores.max() ?? 0, weights = scores.map { exp($0 - highest) }, total = weights.reduce(0, +)
          for i in 0..<size {
            let sum = (0..<seen).reduce(0.0) {
              $0 + weights[$1] * Double(v.floats[(sample * v.pixels + $1) * v.pitch + keyHead * size + i])
            }
            result.floats[(sample * q.pixels + query) * q.channels + head * size + i] = Float(sum / total)
          }
        }
      }
    }
    return result
  }

  /// With the exact GELU, which `Activation` has.
  public func gatedGELU(_ x: FeatureMap) -> FeatureMap {
    let channels = x.channels / 2, result = x.similar(channels: channels, pool: pool)
    for row in 0..<x.rows {
      for channel in 0..<channels {
        let values = x.floats + row * x.channels
        result.floats[row * channels + channel] = values[channel] * Activation.gelu(values[channels + channel])
      }
    }
    return result
  }

  /// With the exact SiLU, which `Activation` has.
  public func gatedSiLU(_ x: FeatureMap) -> FeatureMap {
    let channels = x.channels / 2, result = x.similar(channels: channels, pool: pool)
    for row in 0..<x.rows {
      for channel in 0..<channels {
        let values = x.floats + row * x.channels
        result.floats[row * channels + channel] = Activation.silu(values[channel]) * values[channels + channel]
      }
    }
    return result
  }

  /// In f32, whatever `format` says.
  public func activated(_ x: FeatureMap, _ activation: Activation, as format: NumberFormat) -> FeatureMap {
    let result = x.similar(pool: pool)
    for i in 0..<x.count { result.floats[i] = activation(x.floats[i]) }
    return result
  }

  /// With the tanh of double precision.
  public func softlyLimited(_ x: FeatureMap, to limit: Float) -> FeatureMap {
    let result = x.similar(pool: pool)
    for i in 0..<x.count { result.floats[i] = Float(Double(limit) * tanh(Double(x.floats[i]) / Double(limit))) }
    return result
  }

  /// Makes a new map for the sum.
  public func add(_ y: FeatureMap, to x: inout FeatureMap) {
    let sum = x.similar(pool: pool)
    for i in 0..<x.count { sum.floats[i] = x.floats[i] + y.floats[i] }
    x = sum
  }

  /// In f32; the extents of b are taken to be those of a.
  public func concatenated(_ a: FeatureMap, _ b: FeatureMap) -> FeatureMap {
    let result = a.similar(channels: a.channels + b.channels, pool: pool)
    for i in 0..<result.count {
      let row = i / result.channels, channel = i % result.channels
      result.floats[i] =
        channel < a.channels
        ? a.floats[row * a.channels + channel] : b.floats[row * b.channels + channel - a.channels]
    }
    return result
  }
}

extension Activation {
  /// The function itself.
  func callAsFunction(_ x: Float) -> Float {
    let x = Double(x)
    switch self {
    case .identity: return Float(x)
    case .silu: return Float(x / (1 + exp(-x)))
    case .gelu: return Float(0.5 * x * (1 + erf(x / 2.0.squareRoot())))
    case .quickGELU: return Float(x / (1 + exp(-1.702 * x)))
    case .relu: return Float(x < 0 ? 0 : x)
    }
  }
}
