import Adapters
import FoundationEssentials
import Safetensors
import Tensors
import Yams

/// A merge written down in YAML.
///
/// ```yaml
/// adapters:
///   - file: style.safetensors      # relative to this file
///     strength: 0.8
///   - file: character.safetensors
///     strength: 0.6
///     text_encoder_strength: 0.3
/// size: 40MB                       # or rank, energy, max_error; none for the exact sum
/// dtype: f16
/// ```
public struct MergeRecipeFile: Sendable {
  public let recipe: RefactorRecipe

  private struct Document: Decodable {
    struct Entry: Decodable {
      var file: String
      var strength: Double?
      var text_encoder_strength: Double?
    }

    var adapters: [Entry]
    var rank: Int?
    var conv_rank: Int?
    var energy: Double?
    var max_error: Double?
    var size: String?
    var dtype: String?
    var format: String?
    var weigh: String?
    var fair: Bool?
    var keep_all_targets: Bool?
  }

  private static let fields: Set = [
    "adapters", "rank", "conv_rank", "energy", "max_error", "size", "dtype", "format", "weigh", "fair",
    "keep_all_targets",
  ]

  private static let entryFields: Set = ["file", "strength", "text_encoder_strength"]

  /// - Throws: `SafetensorsError.missing`, or `MergingError.recipe` for anything that is not understood: an unknown field
  ///   is an error, because a misspelled one would otherwise be left out in silence.
  public init(path: String) throws {
    let bytes = try MappedFile(path: path).bytes
    let text = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    func fault(_ reason: String) -> MergingError { MergingError(.recipe(reason: reason), path: path) }
    let document: Document
    do {
      func unknown(_ map: Any?, _ known: Set<String>) -> String? {
        (map as? [String: Any])?.keys.sorted().first { !known.contains($0) }
      }
      let yaml = try Yams.load(yaml: text)
      if let field = unknown(yaml, Self.fields) { throw fault("expected a known field, found \(field)") }
      for entry in (yaml as? [String: Any])?["adapters"] as? [Any] ?? [] {
        if let field = unknown(entry, Self.entryFields) {
          throw fault("adapters: expected a known field, found \(field)")
        }
      }
      document = try YAMLDecoder().decode(Document.self, from: text)
    } catch let error as MergingError {
      throw error
    } catch let error as DecodingError {
      throw fault(error.shortReason)
    } catch {
      throw fault("\(error)".split(separator: "\n").joined(separator: " "))
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let inputs = document.adapters.map { entry in
      RefactorRecipe.Input(
        path: entry.file.hasPrefix("/") ? entry.file : folder + entry.file, strength: entry.strength ?? 1,
        textEncoderStrength: entry.text_encoder_strength)
    }
    guard !inputs.isEmpty else { throw fault("adapters: expected at least one, found none") }
    guard inputs.allSatisfy({ $0.strength.isFinite && $0.textEncoderStrength.isFinite }) else {
      throw fault("strength: expected a finite number")
    }
    var recipe = RefactorRecipe(.merge, inputs: inputs, rule: try Self.rule(document, fault))
    if let name = document.dtype {
      guard let dtype = DType(rawValue: name.uppercased()), [.f32, .f16, .bf16, .f8e4m3].contains(dtype) else {
        throw fault("dtype: expected f32, f16, bf16 or f8_e4m3, found \(name)")
      }
      recipe.dtype = dtype
    }
    if let name = document.format {
      guard let format = AdapterFormat(rawValue: name) else {
        throw fault("format: expected kohya, diffusers, peft or native, found \(name)")
      }
      recipe.format = format
    }
    if let name = document.weigh {
      guard let weighing = Weighing(rawValue: name) else {
        throw fault("weigh: expected absolute or per-target, found \(name)")
      }
      recipe.weighing = weighing
    }
    recipe.isFair = document.fair ?? false
    recipe.keepsAllTargets = document.keep_all_targets ?? false
    self.recipe = recipe
  }

  private static func rule(_ document: Document, _ fault: (String) -> MergingError) throws -> RankRule {
    var rules: [RankRule] = []
    guard document.conv_rank == nil || document.rank != nil else {
      throw fault("conv_rank: expected rank beside it, found none")
    }
    if let rank = document.rank {
      guard rank >= 1, document.conv_rank ?? 1 >= 1 else {
        throw fault("rank: expected at least 1, found \(min(rank, document.conv_rank ?? rank))")
      }
      rules.append(.rank(rank, conv: document.conv_rank))
    }
    if let energy = document.energy { rules.append(.energy(energy)) }
    if let error = document.max_error { rules.append(.maxError(error)) }
    for share in [document.energy, document.max_error] {
      if let share, !(share > 0 && share <= 1) {
        throw fault("expected a number above 0 and at most 1, found \(share)")
      }
    }
    if let size = document.size {
      guard let bytes = ByteCount(size) else { throw fault("size: expected a size such as 20MB, found \(size)") }
      rules.append(.size(bytes))
    }
    guard rules.count <= 1 else {
      throw fault("expected one of rank, energy, max_error and size, found \(rules.count)")
    }
    return rules.first ?? .exact
  }
}

extension DecodingError {
  fileprivate var shortReason: String {
    switch self {
    case .keyNotFound(let key, _): "expected the field \(key.stringValue), found none"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      "\(context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")): expected "
        + Self.words(for: type)
    case .dataCorrupted(let context): context.debugDescription
    @unknown default: "it is not understood"
    }
  }

  private static func words(for type: any Any.Type) -> String {
    switch type {
    case is Int.Type: "a whole number"
    case is Double.Type: "a number"
    case is Bool.Type: "true or false"
    case is Node.Scalar.Type, is String.Type: "one value"
    case is Node.Sequence.Type: "a list"
    default: "fields"
    }
  }
}
