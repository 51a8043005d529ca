import FoundationEssentials
import Sampling
import TestSupport

/// Single-precision numbers as their bits, little-endian, base64.
struct Bits: Decodable, Sendable {
  let values: [Float]

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let data = Data(base64Encoded: try container.decode(String.self)), data.count % 4 == 0 else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not base64 of single precision")
    }
    let bytes = [UInt8](data)
    values = stride(from: 0, to: bytes.count, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) })
    }
  }
}

/// `Tests/Goldens/sampling/<name>.json`.
func samplingGolden<Content: Decodable>(_ name: String, as type: Content.Type) -> Content {
  do {
    return try JSONDecoder().decode(Content.self, from: Goldens.data("sampling/\(name).json"))
  } catch { fatalError("Tests/Goldens/sampling/\(name).json: \(error)") }
}

/// Calls of one generator, one after the other.
struct NoiseGolden: Decodable, Sendable, CustomStringConvertible {
  let seed: String
  let sizes: [Int]
  let calls: [Bits]

  struct Long: Decodable, Sendable {
    let seed: String
    let size: Int
    let hash: String
    let last: Bits
  }
  struct Torch: Decodable, Sendable {
    let cases: [NoiseGolden]
    let long: [Long]
  }
  struct Document: Decodable, Sendable {
    let torch: Torch
    let philox: [NoiseGolden]
  }

  static let all = samplingGolden("noise", as: Document.self)
  var description: String { "seed \(seed)" }
}

struct TableGolden: Decodable, Sendable {
  let beta_start: Double
  let beta_end: Double
  let beta_schedule: NoiseTable.BetaSchedule
  let count: Int
  let zero: Bool
  let betas: Bits
  let cumulative: Bits
  let sigmas: Bits

  struct Document: Decodable, Sendable { let cases: [TableGolden] }
  static let all = samplingGolden("tables", as: Document.self).cases
}

/// A run of a diffusers scheduler with the stand-in network.
struct TrajectoryGolden: Decodable, Sendable, CustomStringConvertible {
  let kind: SamplerKind
  let settings: SchedulerSettings
  let steps: Int
  let eta: Double?
  let strength: Double?
  let first: Int
  let seed: UInt64
  let timesteps: Bits
  let sigmas: Bits?
  let scale: Bits
  let samples: [Bits]
  /// Three more numbers of the generator after the run.
  let after: Bits

  struct Document: Decodable, Sendable { let cases: [TrajectoryGolden] }
  static let all = samplingGolden("trajectories", as: Document.self).cases

  var description: String {
    let spacing = settings.spacing?.rawValue ?? "-"
    let flags = "\(settings.usesKarrasSigmas ? " karras" : "")\(settings.rescalesToZeroTerminal ? " zero" : "")"
    return "\(kind.rawValue) \(spacing) \(settings.prediction.rawValue)\(flags) \(steps) steps"
      + " eta \(eta.map { "\($0)" } ?? "-") strength \(strength.map { "\($0)" } ?? "-")"
  }
}

struct SettingsGolden: Decodable, Sendable, CustomStringConvertible {
  let file: String
  let kind: SamplerKind
  let steps: Int
  let timesteps: Bits
  let scale: Bits
  let sample: Bits

  struct Document: Decodable, Sendable {
    let files: [String: String]
    let cases: [SettingsGolden]
  }
  static let document = samplingGolden("settings", as: Document.self)
  var description: String { "\(file) \(kind.rawValue)" }
}

struct GuidanceGolden: Decodable, Sendable {
  let scale: Float
  let rescale: Float
  let result: Bits

  struct Document: Decodable, Sendable {
    let unconditional: Bits
    let conditional: Bits
    let images: Int
    let cases: [GuidanceGolden]
  }
  static let document = samplingGolden("guidance", as: Document.self)
}

/// The largest difference in units of the largest expected number; NaN and infinity count as infinite.
func largestDifference(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
  let size = expected.reduce(0) { max($0, abs($1)) }
  return zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / size
}
