import Files
import Foundation
import JSON
public import Rendering

/// What a measurement of sensitivities has found so far, in a file from which another run goes on.
public final class PartialSensitivities {
  /// What must be the same for values to be used again.
  public struct Conditions: Codable, Equatable, Sendable {
    private var base: [String]
    private var prompts: [String]
    private var negatives: [String?]
    private var seeds: [UInt64]
    private var size: [Int]
    private var cfg: Float
    private var isEach: Bool

    /// - Parameter hashes: of the base's files.
    public init(_ calibration: Calibration, hashes: [String], isEach: Bool) {
      base = hashes
      prompts = calibration.scenes.map(\.prompt)
      negatives = calibration.scenes.map(\.negative)
      seeds = calibration.scenes.map(\.seed)
      (size, cfg) = ([calibration.size.height, calibration.size.width], calibration.guidance.scale)
      self.isEach = isEach
    }
  }

  private struct Contents: JSONReport, Decodable {
    static let schema = "lathe.sensitivity-partial/1"
    var conditions: Conditions
    /// Names may hold anything, so they are no keys.
    var known: [Value]
  }

  private struct Value: Codable, Sendable {
    var name: String
    var value: Double
  }

  private let path: String
  private var contents: Contents
  private var written = ContinuousClock.now

  /// Goes on from a file, if there is one that was made under the same conditions.
  public init(path: String, _ conditions: Conditions) {
    self.path = path
    let old = (try? Data(contentsOf: URL(filePath: path))).flatMap { try? Contents(jsonText: $0) }
    contents = old.flatMap { $0.conditions == conditions ? $0 : nil } ?? Contents(conditions: conditions, known: [])
  }

  /// What was measured before.
  public var known: [String: Double] {
    Dictionary(contents.known.map { ($0.name, $0.value) }) { first, _ in first }
  }

  /// Adds a value; the file is written every few seconds.
  ///
  /// - Throws: `FileError` when it cannot be.
  public func add(_ name: String, _ value: Double) throws {
    contents.known.append(Value(name: name, value: value))
    guard ContinuousClock.now - written > .seconds(5) else { return }
    written = .now
    let file = try TemporaryFile(for: path, overwriting: true)
    try Array(contents.jsonText().utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }

  /// Removes the file, which nobody needs any more.
  public func remove() { try? FileManager.default.removeItem(atPath: path) }
}
