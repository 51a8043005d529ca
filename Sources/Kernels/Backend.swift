public import Tensors

/// The nonlinear function after a kernel.
public enum Activation: Sendable {
  case identity, silu, gelu, quickGELU, relu
}

/// The arithmetic of products: operands of 32 or of 16 bits. Sums, norms and what is carried along are always f32.
public enum Precision: String, Sendable, CaseIterable {
  case f32, bf16

  var operand: NumberFormat { self == .f32 ? .f32 : .bf16 }
}

/// What networks are made of: the few operations on feature maps, by whoever can do them.
///
/// Operands are the maps that products read: of 16 bits in `bf16`. All other maps are f32. Backends are used from
/// `KernelThread` only.
public protocol Backend: AnyObject {
  var precision: Precision { get }
  /// Its memory for maps.
  var pool: any MemoryPool { get }

  /// y = x·Wᵀ + b for each pixel.
  ///
  /// - Parameters:
  ///   - weight: out × in, perhaps with extents of 1 behind; `bias`: out.
  ///   - precision: the backend's own, or f32.
  func linear(weight: Tensor, bias: Tensor?, precision: Precision) -> any Linear

  /// - Parameters:
  ///   - weight: out × in × height × width; `bias`: out.
  ///   - size: the usual size of the output, for which the way of computing is chosen. Others work too, but enlarging
  ///     to an odd size needs a convolution that was made for an odd one.
  ///   - enlarging: whether the input will be enlarged first.
  func convolution(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, precision: Precision, expecting size: MapSize,
    enlarging: Bool
  ) -> any Convolution

  /// The factors of a group norm of x: mean and biased variance over a sample's pixels and the channels of a group.
  ///
  /// - Parameter offset: batch × 1 × 1 × channels, added to x before anything else.
  func factors(of norm: Norm, groups: Int, for x: FeatureMap, offset: FeatureMap?) -> NormFactors

  /// activation(x · scale + shift)
  func normalized(_ x: FeatureMap, by factors: NormFactors, as format: NumberFormat) -> FeatureMap

  /// The layer norm of each pixel.
  func layerNorm(_ x: FeatureMap, _ norm: Norm, as format: NumberFormat) -> FeatureMap

  /// The norm of each pixel, as transformers without shifts have it.
  func tokenNorm(_ x: FeatureMap, _ norm: TokenNorm, as format: NumberFormat) -> FeatureMap

  /// sum += the norm of each pixel of x
  func addTokenNorm(of x: FeatureMap, _ norm: TokenNorm, to sum: inout FeatureMap)

  /// Heads whose features are turned two by two, by the angles of their token; heads are equal parts of the channels.
  ///
  /// - Parameters:
  ///   - x: of the operands' format; perhaps a part of a wider map's channels.
  ///   - norm: of each head before it is turned, without a mean; `nil` for none.
  func rotated(_ x: FeatureMap, heads: Int, norm: TokenNorm?, by table: RotationTable) -> FeatureMap

  /// softmax(q·kᵀ/√d)·v for each head; heads are equal parts of the channels, and each sample's pixels are its tokens.
  ///
  /// - Parameters:
  ///   - k: and `v` may have fewer heads of the same size, each for as many neighbouring heads of q.
  ///   - isCausal: whether a token sees only those up to itself.
  func attention(_ q: FeatureMap, _ k: FeatureMap, _ v: FeatureMap, heads: Int, isCausal: Bool) -> FeatureMap

  /// a · gelu(g), where x's channels are a, then g.
  func gatedGELU(_ x: FeatureMap) -> FeatureMap

  /// silu(a) · b, where x's channels are a, then b.
  func gatedSiLU(_ x: FeatureMap) -> FeatureMap

  /// activation(x)
  func activated(_ x: FeatureMap, _ activation: Activation, as format: NumberFormat) -> FeatureMap

  /// limit · tanh(x / limit)
  func softlyLimited(_ x: FeatureMap, to limit: Float) -> FeatureMap

  /// x += y
  func add(_ y: FeatureMap, to x: inout FeatureMap)

  /// The channels of a, then those of b.
  func concatenated(_ a: FeatureMap, _ b: FeatureMap) -> FeatureMap
}

extension Backend {
  /// The format of the maps that products read.
  public var operand: NumberFormat { precision.operand }
}

/// A matrix product with packed weights.
public protocol Linear: AnyObject {
  /// Channels of the result.
  var outputs: Int { get }
  func callAsFunction(_ x: FeatureMap, as format: NumberFormat) -> FeatureMap
  /// sum += x·Wᵀ + b
  func add(_ x: FeatureMap, to sum: inout FeatureMap)
}

extension Linear {
  /// x = x·Wᵀ + b
  ///
  /// Where the result is no wider than x and nobody else reads x, it is computed in parts and written over those that are
  /// done, so that there are never two large maps.
  public func replace(_ x: inout FeatureMap) {
    let rowsOfPart = 1 << 14
    guard x.rows > rowsOfPart, x.format == .f32, outputs <= x.channels, x.isAlone() else {
      x = self(x, as: .f32)
      return
    }
    let result = x.narrowed(to: outputs)
    for start in stride(from: 0, to: x.rows, by: rowsOfPart) {
      let rows = start..<min(start + rowsOfPart, x.rows), part = self(x[rows: rows], as: .f32)
      result[rows: rows].take(part)
    }
    x = result
  }
}

/// A convolution with packed weights.
public protocol Convolution: AnyObject {
  /// - Parameters:
  ///   - factors: a norm and an activation that x goes through first; padding is zero after them.
  ///   - size: what x is enlarged to before the convolution, by repeating pixels.
  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap
  /// sum += the convolution of x
  func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap)
}

/// Height and width of a map.
public struct MapSize: Hashable, Sendable {
  /// Rows, in pixels or latent pixels.
  public let height: Int
  /// Columns, in pixels or latent pixels.
  public let width: Int

  /// Height first, as tensors have it.
  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  /// Height times width: how many pixels there are.
  public var area: Int { height * width }
  /// Twice as high and twice as wide, as after an upsampler.
  public var doubled: MapSize { MapSize(height: 2 * height, width: 2 * width) }
  /// What a convolution with a stride of 2 makes of it.
  public var halved: MapSize { MapSize(height: (height + 1) / 2, width: (width + 1) / 2) }
}

/// How a convolution walks over its input.
public struct ConvolutionGeometry: Hashable, Sendable {
  /// Pixels of the input from one output pixel to the next, down and to the right; 1 for every pixel.
  public let stride: Int
  /// Rows of zeros above and columns of zeros to the left.
  public let before: MapSize
  /// Rows of zeros below and columns of zeros to the right.
  public let after: MapSize

  /// For padding that differs between the sides; `same`, `halving` and `halvingAtEnd` are the usual ones.
  public init(stride: Int, before: MapSize, after: MapSize) {
    self.stride = stride
    self.before = before
    self.after = after
  }

  private init(stride: Int = 1, before: Int, after: Int) {
    self.init(
      stride: stride, before: MapSize(height: before, width: before), after: MapSize(height: after, width: after))
  }

  /// The output of a kernel of 3 × 3 is as large as the input.
  public static let same = ConvolutionGeometry(before: 1, after: 1)
  /// A kernel of 3 × 3 with a stride of 2 and one row and column of zeros on every side.
  public static let halving = ConvolutionGeometry(stride: 2, before: 1, after: 1)
  /// Padded at the bottom and the right only, as the encoder of an autoencoder has it.
  public static let halvingAtEnd = ConvolutionGeometry(stride: 2, before: 0, after: 1)

  /// How many places there are for a kernel, down and to the right.
  public func outputSize(_ input: MapSize, kernel: MapSize) -> MapSize {
    MapSize(
      height: (input.height + before.height + after.height - kernel.height) / stride + 1,
      width: (input.width + before.width + after.width - kernel.width) / stride + 1)
  }

  /// The largest input that gives an output of this size.
  func largestInput(for output: MapSize, kernel: MapSize) -> MapSize {
    MapSize(
      height: output.height * stride + kernel.height - before.height - after.height - 1,
      width: output.width * stride + kernel.width - before.width - after.width - 1)
  }
}

/// The learned scale and shift of a norm.
public struct Norm: @unchecked Sendable {
  // Sendable: its memory is never written after this value exists.
  /// What is added to the variance before the root is taken.
  public let epsilon: Float
  let scale: FeatureMap
  let shift: FeatureMap

  /// Copies both tensors, which are of equal size, to the pool's memory as f32.
  public init(scale: Tensor, shift: Tensor, epsilon: Float, pool: any MemoryPool) {
    precondition(scale.elementCount == shift.elementCount, "a norm's scale and shift differ in size")
    self.epsilon = epsilon
    self.scale = FeatureMap(
      scale.floats(), batch: 1, height: 1, width: 1, channels: scale.elementCount, pool: pool)
    self.shift = FeatureMap(
      shift.floats(), batch: 1, height: 1, width: 1, channels: shift.elementCount, pool: pool)
  }

  /// How many channels a map needs for this norm.
  public var channels: Int { scale.channels }
}

/// A group norm of one map, folded to a factor and an addend for each sample and channel, with the activation behind it.
public struct NormFactors {
  /// batch × 1 × 1 × channels each.
  let scale: FeatureMap
  let shift: FeatureMap
  /// What is applied to x · scale + shift; `identity` unless `with(_:)` has chosen another.
  public var activation: Activation

  /// The same factors, followed by another activation.
  public func with(_ activation: Activation) -> NormFactors {
    var factors = self
    factors.activation = activation
    return factors
  }
}
