public import Adapters
public import Codecs
public import Factoring
public import Tensors

/// What a bake is to do.
public struct BakeRecipe: Sendable {
  /// The kinds of checkpoint files that can be written.
  public enum Container: Sendable {
    case safetensors
    case gguf
  }

  /// A checkpoint's file or folder.
  public var base: String
  /// Adapters and their strengths, in the order in which they are applied.
  public var inputs: [AdapterInput]
  /// The number format of the result; every weight's own when `nil`.
  public var dtype: DType?
  /// What the output is. GGUF comes only of a base of GGUF, whose other contents it keeps.
  public var container = Container.safetensors
  /// The blocks in which matrices and kernels are stored whose rows are whole ones; for GGUF. Weights that are blocks of another
  /// kind already stay so where nothing is added to them.
  public var blocks: BlockFormat?
  /// Whether blocks that something is added to are made anew by the format's own quantiser, with new factors, rather than
  /// moved to other codes of their old ones; for GGUF.
  public var requantises = false
  /// Whether an output is to be written. What is only added in memory may be added to weights of any format that is read.
  public var writes = true
  /// How sums become numbers of the output's format; `nil` for shaped rounding in formats of less than 16 bits, whose steps
  /// most deltas are smaller than, and the nearest number in all others.
  public var rounding: Rounding?
  /// How strengths enter changes that depend on the weight.
  public var rule = StrengthRule.linear
  /// For stochastic rounding.
  public var seed: UInt64
  /// Leaves out what the base has no place for.
  public var allowsUnmatched: Bool
  /// Leaves out tensors that no known trainer writes.
  public var allowsUnknown: Bool

  /// A recipe for safetensors with strengths that enter linearly; what is left out here is set afterwards.
  public init(
    base: String, inputs: [AdapterInput], dtype: DType? = nil, rounding: Rounding? = nil, seed: UInt64 = 0,
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
