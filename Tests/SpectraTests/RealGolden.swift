import Adapters
import FoundationEssentials
import TestSupport

/// `Tests/Goldens/real/expected.json`: what numpy's dense linear algebra says of the real adapters.
struct RealGolden: Decodable, Sendable {
  struct File: Decodable, Sendable {
    struct Target: Decodable, Sendable {
      let sigma: [Double]
      let fro: Double
      let rank: Int
      let scale: Double
    }

    let total_fro: Double
    let targets: [String: Target]
  }

  struct Comparison: Decodable, Sendable, CustomStringConvertible {
    struct Target: Decodable, Sendable {
      let relative_error: Double
      let spectral_error: Double
      let cosine: Double
    }

    let a: String
    let b: String
    let relative_error: Double
    let cosine: Double
    let targets: [String: Target]
    var description: String { "\(a) and \(b)" }
  }

  struct CrossTalk: Decodable, Sendable, CustomStringConvertible {
    let a: String
    let b: String
    let target: String
    let output: Double
    let input: Double
    let up_cosines: [Double]
    let down_cosines: [Double]
    var description: String { target }
  }

  let files: [String: File]
  let compare: [Comparison]
  let crosstalk: [CrossTalk]

  static let expected: RealGolden = {
    do {
      return try JSONDecoder().decode(RealGolden.self, from: Goldens.data("real/expected.json"))
    } catch { fatalError("Tests/Goldens/real/expected.json: \(error)") }
  }()
}

/// The real adapter called `name`, or `nil` with one printed line where the folder of adapters is absent.
func realAdapter(_ name: String) throws -> Adapter? {
  guard let folder = sharedAdapters else {
    print("skipped: ../shared/adapters is absent, so \(name) cannot be read")
    return nil
  }
  return try Adapter(path: folder.appending(path: name).path())
}
