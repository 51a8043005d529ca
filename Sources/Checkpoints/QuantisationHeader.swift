public import JSON
import Models
import Tensors

/// What the header of a safetensors file declares about the formats of its modules, as ComfyUI's converters write it.
public struct QuantisationHeader {
  /// The header's key of it.
  public static let key = "_quantization_metadata"

  private let fields: [String: JSONValue]
  /// The words about each module.
  public let layers: [String: JSONValue]

  /// `nil` for a text of another kind.
  public init?(_ text: String) {
    guard let fields = JSONValue(parsing: text)?.object, let layers = fields["layers"]?.object else { return nil }
    (self.fields, self.layers) = (fields, layers)
  }

  /// The text without some modules; `nil` where none is left.
  public func text(without modules: Set<String>) -> String? {
    let left = layers.filter { !modules.contains($0.key) }
    guard !left.isEmpty else { return nil }
    return JSONValue.object(fields.merging(["layers": .object(left)]) { _, new in new }).compactText
  }

  /// Prefixes of the network that the file's names have and the header's may not, or the other way round.
  private static let prefixes = ["model.diffusion_model.", "diffusion_model.", "model.", "net."]

  /// How the header may call a module, the file's own name first.
  static func spellings(of module: String) -> [String] {
    [module] + prefixes.filter(module.hasPrefix).map { module.dropping(prefix: $0) } + prefixes.map { $0 + module }
  }
}
