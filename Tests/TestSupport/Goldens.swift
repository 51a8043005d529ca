public import FoundationEssentials

/// Numbers and files that were made outside this project; see `Tests/Goldens/README.md`.
public enum Goldens {
  /// The root of the repository.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The path of a file below `Tests/Goldens`.
  public static func path(_ name: String) -> String { root.appending(path: "Tests/Goldens/\(name)").path() }

  /// The path of a file below `Examples`.
  public static func example(_ name: String) -> String { root.appending(path: "Examples/\(name)").path() }

  public static func data(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: path(name))) }
}

/// The folder of real adapters beside the repository, where there is one.
public let sharedAdapters: URL? = {
  let folder = Goldens.root.deletingLastPathComponent().appending(path: "shared/adapters")
  return FileManager.default.fileExists(atPath: folder.path()) ? folder : nil
}()

/// `Tests/Goldens/dialects/expected.json`: one adapter file in each spelling, with what it holds.
public struct DialectGolden: Decodable, Sendable, CustomStringConvertible {
  public struct Target: Decodable, Sendable {
    public let shape: [Int]
    public let rank: Int
    public let scale: Double
    /// Row-major, scale included.
    public let delta: [Double]
    /// The dotted name in the base model, where known.
    public let base: String?
  }
  public struct ModelHash: Decodable, Sendable {
    public let stored: String
    public let actual: String
  }

  public let file: String
  public let format: String
  public let container: String
  /// By the name in the file, less the suffix.
  public let targets: [String: Target]
  /// Algorithms by module name.
  public let unsupported: [String: String]
  public let modelHash: ModelHash?
  /// Shapes of text embeddings by name.
  public let embeddings: [String: [Int]]?

  enum CodingKeys: String, CodingKey {
    case file, format, container, targets, unsupported, embeddings
    case modelHash = "model_hash"
  }

  public var description: String { file }
  public var path: String { Goldens.path("dialects/\(file)") }

  public static let all: [DialectGolden] = {
    struct Document: Decodable { let files: [DialectGolden] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("dialects/expected.json")).files
    } catch { fatalError("Tests/Goldens/dialects/expected.json: \(error)") }
  }()
}
