import Adapters
package import Factoring
import Files
package import Tensors
import Yams

/// A YAML file that says what to do with adapters, read so that nothing in it is left out in silence.
package struct RecipeSource<Document: Decodable> {
  package let document: Document
  private let path: String

  /// - Parameters:
  ///   - fields: all that the document may have; an unknown one is an error, because a misspelled field would otherwise
  ///     have no effect.
  ///   - entryFields: all that the entries of a list may have, by the list's name.
  ///   - limit: of the file in bytes.
  /// - Throws: `FileError.missing`, or `RecipeError` for anything that is not understood.
  package init(
    path: String, fields: Set<String>, entryFields: [String: Set<String>] = ["adapters": RecipeEntry.fields],
    limit: Int = RecipeLimits.bytes
  ) throws {
    self.path = path
    let bytes = try MappedFile(path: path).bytes
    let text = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    func fault(_ reason: String) -> RecipeError { RecipeError(reason: reason, path: path) }
    do {
      func unknown(_ map: Any?, _ known: Set<String>) -> String? {
        (map as? [String: Any])?.keys.sorted().first { !known.contains($0) }
      }
      guard bytes.count <= limit else {
        throw fault("expected at most \(limit) bytes, found \(bytes.count)")
      }
      guard !Outline.hasExplicitNames(text) else { throw fault(Outline.otherName) }
      if let reason = try Yams.compose(yaml: Outline.text(of: text))?.faultOfOutline { throw fault(reason) }
      let node = try Yams.compose(yaml: text) ?? Node("")
      guard node.hasNodes(upTo: RecipeLimits.nodes) else {
        throw fault("expected at most \(RecipeLimits.nodes) values with aliases written out, found more")
      }
      let yaml = try Yams.load(yaml: text)
      if let field = unknown(yaml, fields) { throw fault("expected a known field, found \(field)") }
      for (list, known) in entryFields {
        for entry in (yaml as? [String: Any])?[list] as? [Any] ?? [] {
          if let field = unknown(entry, known) { throw fault("\(list): expected a known field, found \(field)") }
        }
      }
      document = try YAMLDecoder().decode(Document.self, from: text)
    } catch let error as RecipeError {
      throw error
    } catch let error as DecodingError {
      throw fault(error.shortReason)
    } catch {
      throw fault(Outline.original(of: "\(error)").split(separator: "\n").joined(separator: " "))
    }
  }

  package func fault(_ reason: String) -> RecipeError { RecipeError(reason: reason, path: path) }

  /// The adapters with their strengths; files are relative to the recipe.
  package func inputs(_ entries: [RecipeEntry]) throws -> [AdapterInput] {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let inputs = try entries.map { entry in
      AdapterInput(
        path: entry.file.hasPrefix("/") ? entry.file : folder + entry.file, strength: entry.strength ?? 1,
        textEncoderStrength: entry.text_encoder_strength, blocks: try entry.blocks.map(blocks))
    }
    guard !inputs.isEmpty else { throw fault("adapters: expected at least one, found none") }
    guard inputs.count <= RecipeLimits.adapters else {
      throw fault("adapters: expected at most \(RecipeLimits.adapters), found \(inputs.count)")
    }
    for strength in inputs.flatMap({ [$0.strength, $0.textEncoderStrength] }) {
      if let reason = AdapterInput.fault(inStrength: strength) { throw fault(reason) }
    }
    return inputs
  }

  private func blocks(_ entry: RecipeEntry.Blocks) throws -> BlockWeights {
    let values =
      switch entry {
      case .list(let values): values
      case .named(let values): Array(values.values)
      }
    for value in values { if let reason = AdapterInput.fault(inStrength: value) { throw fault("blocks: \(reason)") } }
    switch entry {
    case .list(let values):
      guard let weights = BlockWeights(values) else {
        throw fault("blocks: expected 12, 17, 20, 26 or 61 numbers, found \(values.count)")
      }
      return weights
    case .named(let values): return BlockWeights(named: values)
    }
  }

  package func dtype(_ name: String?) throws -> DType? {
    guard let name else { return nil }
    guard let dtype = DType(rawValue: name.uppercased()), [.f32, .f16, .bf16, .f8e4m3].contains(dtype) else {
      throw fault("dtype: expected f32, f16, bf16 or f8_e4m3, found \(name)")
    }
    return dtype
  }
}

/// What a file that somebody writes by hand never has.
package enum RecipeLimits {
  package static let bytes = 256 << 10
  static let nodes = 100_000
  static let adapters = 500
  static let blocks = 300
}

/// A recipe's text in which aliases are texts.
///
/// Yams compares all names in a mapping when it reads one. An alias is then all that it is a copy of, and lists in lists as names are
/// compared at each level: few bytes take for ever.
private enum Outline {
  static let alias = "\u{e000}"

  static func text(of yaml: String) -> String { yaml.replacing("*", with: alias) }
  static func original(of outline: String) -> String { outline.replacing(alias, with: "*") }

  static let otherName = "expected names of fields that are texts, found another"

  /// Whether names stand behind a `?`, as only those must that are no texts.
  static func hasExplicitNames(_ yaml: String) -> Bool {
    let scalars = Array(yaml.unicodeScalars)
    return scalars.indices.contains { place in
      guard scalars[place] == "?", place + 1 == scalars.count || scalars[place + 1].isBlankInYAML else { return false }
      // What stands before it: the beginning of a line or of an entry, or nothing but blanks after those.
      guard let before = scalars[..<place].last(where: { $0 != " " && $0 != "\t" && $0 != "\u{feff}" }) else {
        return true
      }
      return before.isBlankInYAML || "-{[,".unicodeScalars.contains(before)
    }
  }
}

extension Unicode.Scalar {
  /// Whether YAML takes it for a space, or for the end of a line.
  fileprivate var isBlankInYAML: Bool { " \t\r\n\u{85}\u{2028}\u{2029}".unicodeScalars.contains(self) }
}

extension Node {
  /// What no recipe has, and what Yams ends in a trap for: in an outline, names of fields that are no texts, and whole numbers to base 60
  /// that are too large.
  fileprivate var faultOfOutline: String? {
    var rest = [self]
    while let node = rest.popLast() {
      switch node {
      case .mapping(let mapping):
        for (key, value) in mapping {
          guard let name = key.scalar, !name.string.hasPrefix(Outline.alias) else { return Outline.otherName }
          rest += [key, value]
        }
      case .sequence(let sequence): rest += sequence
      case .scalar(let scalar) where scalar.style == .plain:
        if scalar.string.isToBase60 {
          return "expected numbers to base 10, and texts such as this in quotes, found \(scalar.string.prefix(80))"
        }
      case .scalar, .alias: break
      }
    }
    return nil
  }

  /// Whether this node and all below it are at most `limit`. An alias is a copy: eight levels of nine aliases are 43 million
  /// nodes of a few hundred bytes, so counting stops where there are too many.
  fileprivate func hasNodes(upTo limit: Int) -> Bool {
    var rest = [self], count = 0
    while let node = rest.popLast() {
      count += 1
      guard count + rest.count <= limit else { return false }
      switch node {
      case .mapping(let mapping): for (key, value) in mapping { rest += [key, value] }
      case .sequence(let sequence): rest += sequence
      case .scalar, .alias: break
      }
    }
    return true
  }
}

extension String {
  /// Whether Yams might take this for a number such as `1:30:00`.
  fileprivate var isToBase60: Bool { contains(":") && utf8.allSatisfy("0123456789:_+-.".utf8.contains) }
}

/// An adapter in a recipe.
package struct RecipeEntry: Decodable {
  enum Blocks: Decodable {
    case list([Double])
    case named([String: Double])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let list = try? container.decode([Double].self) {
        self = .list(list)
      } else {
        // Yams looks for each name among all.
        let count = try decoder.container(keyedBy: Name.self).allKeys.count
        guard count <= RecipeLimits.blocks else {
          throw DecodingError.dataCorruptedError(
            in: container, debugDescription: "blocks: expected at most \(RecipeLimits.blocks), found \(count)")
        }
        self = .named(try container.decode([String: Double].self))
      }
    }

    private struct Name: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }

      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }
  }

  static let fields: Set = ["file", "strength", "text_encoder_strength", "blocks"]

  package var file: String
  var strength: Double?
  var text_encoder_strength: Double?
  var blocks: Blocks?
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
