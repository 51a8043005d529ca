public import Codecs
import Tensors

/// How a weight is stored that is not its own numbers: a codec, and the tensors beside it that say what its codes mean.
public struct StoredWeight: Sendable {
  /// Reads it.
  public let codec: any WeightCodec
  /// The tensors beside it, by their places in the checkpoint's weights: steps, tables, declarations. No adapter changes them,
  /// and they are no weights.
  public let sides: [Int]
  /// The place of the scale that a bake may enlarge, where the codes are eight-bit numbers with one scale, or one for each row.
  public let scale: Int?
  /// The name under which a file that declares its formats in its header speaks of the module; `nil` where it does not.
  public let declaredName: String?

  init(codec: any WeightCodec, sides: [Int] = [], scale: Int? = nil, declaredName: String? = nil) {
    (self.codec, self.sides, self.scale, self.declaredName) = (codec, sides, scale, declaredName)
  }

  /// How the scale of a weight is called that a bake may enlarge.
  ///
  /// - Parameter weight: the weight's full name.
  public static func scaleNames(of weight: String) -> [String] {
    guard weight.hasSuffix(".weight") else { return [] }
    let module = weight.dropping(suffix: "weight")
    return ["scale_weight", "weight_scale"].map { module + $0 }
  }
}
