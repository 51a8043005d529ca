public import Merging
public import Tensors

/// What a bake is to do.
public struct BakeRecipe: Sendable {
  /// A checkpoint's file or folder.
  public var base: String
  public var inputs: [AdapterInput]
  /// The number format of the result; every weight's own when `nil`.
  public var dtype: DType?
  public var rounding: Rounding
  /// For stochastic rounding.
  public var seed: UInt64
  /// Leaves out what the base has no place for.
  public var allowsUnmatched: Bool
  /// Leaves out tensors that no known trainer writes.
  public var allowsUnknown: Bool

  public init(
    base: String, inputs: [AdapterInput], dtype: DType? = nil, rounding: Rounding = .nearest, seed: UInt64 = 0,
    allowsUnmatched: Bool = false, allowsUnknown: Bool = false
  ) {
    self.base = base
    self.inputs = inputs
    self.dtype = dtype
    self.rounding = rounding
    self.seed = seed
    self.allowsUnmatched = allowsUnmatched
    self.allowsUnknown = allowsUnknown
  }
}
