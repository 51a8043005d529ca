public import Adapters
import Factoring
public import Models
public import Tensors

/// What the user wants: an adapter with the same delta under other names, or so that all loaders read one strength.
public struct ConvertRecipe: Sendable {
  /// A file, a PEFT folder, or a folder that holds a PEFT folder for each network (`unet`, `text_encoder`, …).
  public var path: String
  /// The dialect of the output; the input's own when `nil`.
  public var format: AdapterFormat?
  /// The model's family, where the user says it; otherwise names and shapes tell.
  public var family: Family?
  /// Whether the output is to be read alike by loaders that disagree: one alpha, no zero alpha, today's names.
  public var normalises: Bool
  /// The number format of the factors; each factor's own when `nil`.
  public var dtype: DType?
  /// Leaves out what the dialect cannot name, and tensors and algorithms that cannot be worked on.
  public var allowsUnmatched: Bool

  /// The input's own dialect, family and number formats, where nothing else is given.
  public init(
    path: String, format: AdapterFormat? = nil, family: Family? = nil, normalises: Bool = false, dtype: DType? = nil,
    allowsUnmatched: Bool = false
  ) {
    (self.path, self.format, self.family) = (path, format, family)
    (self.normalises, self.dtype, self.allowsUnmatched) = (normalises, dtype, allowsUnmatched)
  }

  /// An adapter that is open; the rest is set afterwards.
  public init(converting adapter: Adapter, to format: AdapterFormat? = nil) {
    self.init(path: adapter.path, format: format)
  }
}
