import Files
import Foundation
import JSON
public import Rendering

/// What a measurement of sensitivities has found so far, in a file from which another run goes on.
public final class PartialSensitivities {
  /// What must be the same for values to be used again.
  public struct Conditions: Codable, Equatable, Sendable {
    private var base: [String]
    private var prompts: [String] = []
    private var negatives: [String?] = []
    private var seeds: [UInt64] = []
    private var size: [Int] = []
    private var cfg: Float = 0
    private var isEach: Bool

    init(base: [String], isEach: Bool) { (self.base, self.isEach) = (base, isEach) }

    /// - Parameter hashes: of the base's files.
    public init(_ calibration: Calibration, hashes: [String], isEach: Bool) {
      self.init(base: hashes, isEach: isEach)
      prompts = calibration.scenes.map(\.prompt)
      negatives = calibration.scenes.map(\.negative)
      seeds = calibration.scenes.map(\.seed)
      (size, cfg) = ([calibration.size.height, calibration.size.width], calibration.guidance.scale)
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
  ///
  /// - Throws: `FileError` for a file that cannot be read, `CalibrationError.table` for one that no such run has left: it is
  ///   somebody's.
  public init(path: String, _ conditions: Conditions) throws {
    self.path = path
    contents = Contents(conditions: conditions, known: [])
    guard FileManager.default.fileExists(atPath: path) else { return }
    // No input of the command: it is written again.
    let file = try MappedFile(path: path, isInput: false)
    guard let old = try? Contents(jsonText: file.bytes.withUnsafeBytes { Array($0) }) else {
      throw CalibrationError(
        .table(reason: "expected no file, or what an earlier run has left, found something else"), path: path)
    }
    if old.conditions == conditions, old.known.allSatisfy({ $0.value >= 0 && $0.value.isFinite }) { contents = old }
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
    if ContinuousClock.now - written > .seconds(5) { try write() }
  }

  func write() throws {
    written = .now
    let file = try TemporaryFile(for: path, overwriting: true)
    try file.write(contents.jsonText())
    try file.commit()
  }

  /// Removes the file, which nobody needs any more.
  public func remove() { try? FileManager.default.removeItem(atPath: path) }
}
