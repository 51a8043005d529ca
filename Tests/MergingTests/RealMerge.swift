import Adapters
import FoundationEssentials
import TestSupport

/// `Tests/Goldens/real/expected.json`: what numpy's dense linear algebra says of a merge of three real adapters, and of
/// real adapters cut to rank 2.
struct RealMerge: Decodable, Sendable {
  struct Target: Decodable, Sendable {
    let sigma: [Double]
    let fro: Double
  }

  let adapters: [String]
  let strengths: [Double]
  let total_fro: Double
  let rank4_relative_error: Double
  let targets: [String: Target]

  private struct Document: Decodable {
    struct File: Decodable {
      struct Resize: Decodable { let relative_error: Double }
      let resize_rank2: Resize
      let total_fro: Double
    }
    let files: [String: File]
    let merge: RealMerge
  }

  private static let document: Document = {
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("real/expected.json"))
    } catch { fatalError("Tests/Goldens/real/expected.json: \(error)") }
  }()

  static let golden = document.merge
  /// By file: the relative error when every target is cut to rank 2.
  static let rank2Errors = document.files.mapValues(\.resize_rank2.relative_error)

  /// The three adapters; none where the folder of adapters is absent.
  static func adapters() throws -> [Adapter] { try golden.adapters.compactMap(realAdapter) }
}

/// The real adapter called `name`, or `nil` with one printed line where the folder of adapters is absent.
func realAdapter(_ name: String) throws -> Adapter? {
  guard let folder = sharedAdapters else {
    print("skipped: ../shared/adapters is absent, so \(name) cannot be read")
    return nil
  }
  return try Adapter(path: folder.appending(path: name).path())
}
