import Checkpoints
import Kernels
import Models
import Tensors

/// Makes the layers of a network from named weights, one level of names at a time.
struct LayerSource {
  let weights: any WeightSource
  let component: Component
  let backend: any Backend
  /// Sees what goes into the layers.
  private let tap: (any LayerTap)?
  private(set) var path = ""

  init(_ weights: any WeightSource, _ component: Component, backend: any Backend, tap: (any LayerTap)? = nil) {
    self.weights = weights
    self.component = component
    self.backend = backend
    self.tap = tap
  }

  /// The layers below a name.
  subscript(_ name: String) -> LayerSource {
    var inner = self
    inner.path += path.isEmpty ? name : "." + name
    return inner
  }

  subscript(_ name: String, _ index: Int) -> LayerSource { self[name]["\(index)"] }

  func tensor(_ name: String, _ extents: Int...) throws -> Tensor {
    try weights.weight(named: WeightName(component, self[name].path), shape: Shape(extents))
  }

  /// A product; as a 1 × 1 convolution, its stored weight has two extents more.
  func linear(
    _ name: String, _ inputs: Int, _ outputs: Int, bias: Bool = true, precision: Precision? = nil
  ) throws -> any Linear {
    let layer = backend.linear(
      weight: try self[name].tensor("weight", outputs, inputs),
      bias: bias ? try self[name].tensor("bias", outputs) : nil, precision: precision ?? backend.precision)
    return tapped(layer, [(name, [outputs, inputs])])
  }

  /// The layer as the tap sees it.
  private func tapped(_ layer: any Linear, _ weights: [(name: String, shape: [Int])]) -> any Linear {
    guard let tap else { return layer }
    return TappedLinear(layer, weights.map { (weightName($0.name), $0.shape) }, tap: tap, backend: backend)
  }

  private func weightName(_ layer: String) -> WeightName { WeightName(component, self[layer]["weight"].path) }

  /// Several products of the same input as one: their outputs stand one behind the other.
  func linear(joining names: [String], _ inputs: Int, _ outputs: Int, bias: Bool) throws -> any Linear {
    try linear(joining: names.map { ($0, outputs) }, inputs, bias: bias)
  }

  /// The same with outputs of their own for each.
  func linear(joining parts: [(name: String, outputs: Int)], _ inputs: Int, bias: Bool) throws -> any Linear {
    let weights = try parts.map { try self[$0.name].tensor("weight", $0.outputs, inputs) }
    let biases = bias ? try parts.map { try self[$0.name].tensor("bias", $0.outputs) } : nil
    let layer = backend.linear(weight: weights.joined, bias: biases?.joined, precision: backend.precision)
    return tapped(layer, parts.map { ($0.name, [$0.outputs, inputs]) })
  }

  /// A convolution of 3 × 3; its products have the backend's precision unless they ask for f32.
  func convolution(
    _ name: String, _ inputs: Int, _ outputs: Int, geometry: ConvolutionGeometry = .same,
    precision: Precision? = nil, expecting size: MapSize, enlarging: Bool = false
  ) throws -> any Convolution {
    let bias = try self[name].tensor("bias", outputs), precision = precision ?? backend.precision
    func make(_ weight: Tensor, _ bias: Tensor?) -> any Convolution {
      backend.convolution(
        weight: weight, bias: bias, geometry: geometry, precision: precision, expecting: size, enlarging: enlarging)
    }
    let layer = make(try self[name].tensor("weight", outputs, inputs, 3, 3), bias)
    guard let tap else { return layer }
    return TappedConvolution(layer, weightName(name), geometry: geometry, tap: tap, backend: backend) { make($0, nil) }
  }

  func norm(_ name: String, _ channels: Int, epsilon: Float) throws -> Norm {
    Norm(
      scale: try self[name].tensor("weight", channels), shift: try self[name].tensor("bias", channels),
      epsilon: epsilon, pool: backend.pool)
  }

  /// A root mean square norm.
  func tokenNorm(_ name: String, _ channels: Int, epsilon: Float) throws -> TokenNorm {
    TokenNorm(gain: try self[name].tensor("weight", channels), epsilon: epsilon, pool: backend.pool)
  }

  func groupNorm(_ name: String, _ channels: Int, groups: Int, epsilon: Float) throws -> GroupNorm {
    GroupNorm(norm: try norm(name, channels, epsilon: epsilon), groups: groups, backend: backend)
  }
}

/// A norm over groups of channels.
struct GroupNorm {
  let norm: Norm
  let groups: Int
  let backend: any Backend

  /// - Parameter offset: added to x before it is normalised, batch × 1 × 1 × channels.
  func factors(_ x: FeatureMap, offset: FeatureMap? = nil, then activation: Activation = .silu) -> NormFactors {
    backend.factors(of: norm, groups: groups, for: x, offset: offset).with(activation)
  }
}

extension [Tensor] {
  /// The rows of all tensors, one after the other, in f32 unless all have the same format.
  var joined: Tensor {
    let rows = reduce(0) { $0 + $1.shape.extents[0] }, shape = Shape([rows] + self[0].shape.extents.dropFirst())
    let isUniform = allSatisfy { $0.dtype == self[0].dtype }
    let parts = isUniform ? self : map { Tensor(dtype: .f32, shape: $0.shape, bytes: Bytes(copying: $0.floats())) }
    return Tensor(
      dtype: parts[0].dtype, shape: shape,
      bytes: Bytes(count: parts.reduce(0) { $0 + $1.bytes.count }) { target in
        var place = 0
        for part in parts {
          part.bytes.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: target[place..<place + $0.count]).copyMemory(from: $0)
          }
          place += part.bytes.count
        }
      })
  }
}
