import Tensors

/// y = x·Wᵀ + b, one sum after the other.
final class ReferenceLinear: Linear {
  private let weight: [Float]
  private let bias: [Float]?
  private let inputs: Int
  let outputs: Int
  private let pool: any MemoryPool

  init(weight: Tensor, bias: Tensor?, pool: any MemoryPool) {
    self.weight = weight.floats()
    self.bias = bias?.floats()
    outputs = weight.shape.extents[0]
    inputs = weight.elementCount / max(outputs, 1)
    self.pool = pool
  }

  func callAsFunction(_ x: FeatureMap, as format: NumberFormat) -> FeatureMap { product(x, adding: nil) }

  func add(_ x: FeatureMap, to sum: inout FeatureMap) { sum = product(x, adding: sum) }

  private func product(_ x: FeatureMap, adding sum: FeatureMap?) -> FeatureMap {
    precondition(x.channels == inputs, "a product of \(inputs) inputs was given \(x.channels)")
    let result = x.similar(channels: outputs, pool: pool), values = x.floats
    for row in 0..<x.rows {
      for output in 0..<outputs {
        var value = Double(bias?[output] ?? 0)
        for input in 0..<inputs {
          value += Double(values[row * inputs + input]) * Double(weight[output * inputs + input])
        }
        let place = row * outputs + output
        result.floats[place] = Float(value + (sum.map { Double($0.floats[place]) } ?? 0))
      }
    }
    return result
  }
}

/// A convolution, one sum after the other.
final class ReferenceConvolution: Convolution {
  private let weight: [Float]
  private let extents: [Int]
  private let bias: [Float]?
  private let geometry: ConvolutionGeometry
  private unowned let backend: ReferenceBackend

  init(weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, backend: ReferenceBackend) {
    self.weight = weight.floats()
    extents = weight.shape.extents
    self.bias = bias?.floats()
    self.geometry = geometry
    self.backend = backend
  }

  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap {
    convolved(factors.map { backend.normalized(x, by: $0, as: .f32) } ?? x, enlargedTo: size ?? x.size, adding: nil)
  }

  func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap) {
    sum = convolved(factors.map { backend.normalized(x, by: $0, as: .f32) } ?? x, enlargedTo: x.size, adding: sum)
  }

  private func convolved(_ x: FeatureMap, enlargedTo size: MapSize, adding sum: FeatureMap?) -> FeatureMap {
    precondition(x.channels == extents[1], "a convolution of \(extents[1]) channels was given \(x.channels)")
    let kernel = MapSize(height: extents[2], width: extents[3])
    let result = x.similar(
      channels: extents[0], size: geometry.outputSize(size, kernel: kernel), pool: backend.pool)
    let values = x.floats
    for place in 0..<result.count {
      let output = place % extents[0], column = place / extents[0] % result.width
      let row = place / extents[0] / result.width % result.height, sample = place / extents[0] / result.pixels
      var value = Double(bias?[output] ?? 0)
      for i in 0..<kernel.height {
        let y = row * geometry.stride + i - geometry.before.height
        guard 0..<size.height ~= y else { continue }
        for j in 0..<kernel.width {
          let x0 = column * geometry.stride + j - geometry.before.width
          guard 0..<size.width ~= x0 else { continue }
          let pixel = (sample * x.height + y * x.height / size.height) * x.width + x0 * x.width / size.width
          for input in 0..<extents[1] {
            let tap = ((output * extents[1] + input) * kernel.height + i) * kernel.width + j
            value += Double(values[pixel * extents[1] + input]) * Double(weight[tap])
          }
        }
      }
      result.floats[place] = Float(value + (sum.map { Double($0.floats[place]) } ?? 0))
    }
    return result
  }
}
