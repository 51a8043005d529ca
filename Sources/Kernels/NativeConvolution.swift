import Tensors

/// A convolution in the way that is quickest for its size.
final class NativeConvolution: Convolution {
  private enum Method {
    case direct(DirectConvolution)
    /// For enlarged inputs: one small convolution for each combination of even and odd rows and columns.
    case folded(FoldedConvolution)
  }

  private unowned let backend: NativeBackend
  private let method: Method
  private let operand: NumberFormat

  init(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, operand: NumberFormat,
    expecting size: MapSize, enlarging: Bool, backend: NativeBackend
  ) {
    let extents = weight.shape.extents
    precondition(extents.count == 4, "a convolution's weight has four extents")
    self.backend = backend
    self.operand = operand
    let bias = bias.map { backend.parameters($0) }
    let isFolded = enlarging && Array(extents[2...]) == [3, 3] && geometry == .same
    method = backend.withFloats(of: weight) { values in
      isFolded
        ? .folded(FoldedConvolution(weight: values, extents: extents, bias: bias, operand: operand, backend: backend))
        : .direct(
          DirectConvolution(
            weight: values, extents: extents, bias: bias, geometry: geometry, operand: operand, backend: backend))
    }
  }

  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap {
    let x = factors.map { backend.normalized(x, by: $0, as: operand) } ?? x
    switch method {
    case .direct(let convolution):
      return convolution(size.map { backend.enlarged(x, to: $0) } ?? x)
    case .folded(let convolution):
      precondition(
        size == MapSize(height: 2 * x.height, width: 2 * x.width), "a folded convolution enlarges twofold only")
      return convolution(x)
    }
  }

  func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap) {
    backend.makeAlone(&sum)
    switch method {
    case .direct(let convolution):
      convolution.run(factors.map { backend.normalized(x, by: $0, as: operand) } ?? x, into: sum, sums: true)
    case .folded: break
    }
  }
}
