import Tensors

/// A convolution in the way that is quickest for its size.
final class NativeConvolution: Convolution {
  private enum Method {
    case direct(DirectConvolution)
    case folded(FoldedConvolution)
    case winograd(WinogradConvolution)
  }

  /// The least area of an output for which transforming pays, with operands of 32 and of 16 bits. Below, the weights,
  /// four times as large when transformed, are read for too few pixels.
  private static let leastArea = [NumberFormat.f32: 16 * 16, .bf16: 32 * 32]
  /// With fewer channels the transforms outweigh the products.
  private static let leastChannels = 32

  fileprivate static func isLarge(_ extents: [Int], _ size: MapSize, _ operand: NumberFormat) -> Bool {
    size.height * size.width >= leastArea[operand]! && extents[0] >= leastChannels && extents[1] >= leastChannels
  }

  private unowned let backend: NativeBackend
  private let operand: NumberFormat
  private let method: Method
  /// Whether the convolution itself enlarges its input twofold.
  private let doubles: Bool

  init(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, operand: NumberFormat,
    expecting size: MapSize, enlarging: Bool, backend: NativeBackend
  ) {
    let extents = weight.shape.extents
    precondition(extents.count == 4, "a convolution's weight has four extents")
    self.backend = backend
    self.operand = operand
    let bias = bias.map { backend.parameters($0) }
    let isPlain = Array(extents[2...]) == [3, 3] && geometry == .same
    // An odd size is not twice another: then the map is enlarged before the convolution, as for any factor.
    let isDoubling = enlarging && size.height % 2 == 0 && size.width % 2 == 0
    doubles = isPlain && isDoubling
    let isLarge = backend.usesWinograd && Self.isLarge(extents, size, operand)
    method = backend.withFloats(of: weight) { values in
      if isPlain && isLarge {
        .winograd(
          WinogradConvolution(weight: values, extents: extents, bias: bias, enlarging: isDoubling, backend: backend))
      } else if isPlain && isDoubling {
        .folded(
          FoldedConvolution(
            weight: values, extents: extents, bias: bias, operand: operand, expecting: size, backend: backend))
      } else {
        .direct(
          DirectConvolution(
            weight: values, extents: extents, bias: bias, geometry: geometry, operand: operand, expecting: size,
            backend: backend))
      }
    }
  }

  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap {
    precondition(!doubles || size == x.size.doubled, "a convolution for even sizes was given an odd one")
    let x = size.map { doubles || $0 == x.size ? x : backend.enlarged(x, to: $0) } ?? x
    switch method {
    case .direct(let convolution):
      return convolution(factors.map { backend.normalized(x, by: $0, as: operand) } ?? x)
    case .folded(let convolution):
      return convolution(factors.map { backend.normalized(x, by: $0, as: operand) } ?? x)
    case .winograd(let convolution):
      return convolution(x, after: factors, addingTo: nil)
    }
  }

  func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap) {
    backend.makeAlone(&sum)
    switch method {
    case .direct(let convolution):
      convolution.run(factors.map { backend.normalized(x, by: $0, as: operand) } ?? x, into: sum, sums: true)
    case .folded: preconditionFailure("an enlarging convolution adds to nothing")
    case .winograd(let convolution):
      _ = convolution(x, after: factors, addingTo: sum)
    }
  }
}

extension NativeBackend {
  /// Whether a 3 × 3 convolution with stride 1 is kept as transformed tiles: 36 numbers for each 9, in f32.
  ///
  /// - Parameters:
  ///   - extents: of its weight.
  ///   - size: of its output.
  public static func transforms(_ extents: [Int], _ size: MapSize, _ precision: Precision) -> Bool {
    !precisions.isEmpty && NativeConvolution.isLarge(extents, size, precision.operand)
  }
}
