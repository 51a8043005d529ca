import Adapters
import Files
import Foundation
import JSON
import LinearAlgebra
import Models
import Safetensors
import Tensors

/// A file that takes a bake back, bit for bit: the factors of what was added, and the places where subtracting it again
/// does not give the base's weights.
public struct UndoFile: Sendable {
  /// As the user gave it.
  public let path: String
  let record: UndoRecord
  private let contents: SafetensorsFile

  /// - Throws: `FileError`, or `BakingError.undo` when it is another kind of file.
  public init(path: String) throws {
    self.path = path
    contents = try SafetensorsFile(path: path)
    guard let text = contents.metadata.first(where: { $0.key == "lathe.undo" })?.value else {
      throw BakingError(.undo(reason: "found another safetensors file"), path: path)
    }
    guard let record = try? JSONValue(parsing: text)?.decoded(UndoRecord.self) else {
      throw BakingError(.undo(reason: "found a record that cannot be read"), path: path)
    }
    self.record = record
    guard record.version <= UndoRecord.currentVersion else {
      throw BakingError(
        .undo(reason: "found version \(record.version); hint: a newer Lathe (\(record.tool)) wrote it"), path: path)
    }
    let isSound =
      record.weights.allSatisfy { record.files.indices.contains($0.file) }
      && record.additions.allSatisfy { addition in
        record.weights.indices.contains(addition.weight) && record.storedTargets.indices.contains(addition.target)
          && addition.rows.count == 2 && addition.deltaRows.count == 2
          && 0 <= addition.rows[0] && addition.rows[0] <= addition.rows[1]
          && 0 <= addition.deltaRows[0] && addition.deltaRows[0] <= addition.deltaRows[1]
      } && Self.sizeOfHeads(contents, count: record.files.count) <= 1 << 30
      && record.files.allSatisfy { !$0.path.hasPrefix("/") && !$0.path.split(separator: "/").contains("..") }
    guard isSound else { throw BakingError(.undo(reason: "found a damaged record"), path: path) }
    guard record.isPlausible else {
      throw BakingError(.undo(reason: "found more additions than a bake makes"), path: path)
    }
  }

  /// What all headers together unpack to: a few bytes may say that it is more than any base has.
  private static func sizeOfHeads(_ contents: SafetensorsFile, count: Int) -> Int {
    (0..<count).reduce(0) { sum, file in
      sum + min(contents["head.\(file)"].map { Zstandard.size(of: $0.bytes) } ?? 0, 1 << 32)
    }
  }

  /// A tensor of the base that the bake dropped or changed as a whole.
  func raw(_ weight: Int) -> Bytes? { contents["raw.\(weight)"]?.bytes }

  /// The header of a base file with its length field.
  func head(ofFile file: Int) throws -> [UInt8] {
    guard let bytes = contents["head.\(file)"]?.bytes,
      let head = Zstandard.decompressed(bytes, limit: 100_000_008),
      ContentHash.sha256(Bytes(copying: head)) == record.files[file].headSHA256
    else { throw BakingError(.undo(reason: "found no header of \(record.files[file].path) in it"), path: path) }
    return head
  }

  /// A file beside the weights as the base has it; `nil` when the bake did not change it.
  func companion(_ relativePath: String) throws -> Bytes? {
    guard let number = record.companions.firstIndex(where: { $0.path == relativePath }) else { return nil }
    guard let bytes = contents["companion.\(number)"]?.bytes,
      let text = Zstandard.decompressed(bytes, limit: 100_000_000).map({ Bytes(copying: $0) }),
      ContentHash.sha256(text) == record.companions[number].sha256
    else { throw BakingError(.undo(reason: "found no \(relativePath) in it"), path: path) }
    return text
  }

  /// The differences from the prediction of a weight's codes.
  ///
  /// - Parameter elements: how many the weight has, which bounds the streams.
  func residual(_ weight: Int, elements: Int) throws -> ResidualDecoder {
    guard let gaps = contents["gaps.\(weight)"]?.bytes, let values = contents["values.\(weight)"]?.bytes else {
      return ResidualDecoder(gaps: [], values: [])
    }
    guard let gaps = Zstandard.decompressed(gaps, limit: 10 * elements),
      let values = Zstandard.decompressed(values, limit: 10 * elements)
    else { throw BakingError(.undo(reason: "found damaged differences of \(record.weights[weight].name)"), path: path) }
    return ResidualDecoder(gaps: gaps, values: values)
  }

  /// What was added, to weights of the base by their numbers there.
  func additions() throws -> [Int: [AdaptedWeights.Addition]] {
    let targets = try record.storedTargets.enumerated().map { number, stored -> Target in
      guard let up = contents["target.\(number).up"], let down = contents["target.\(number).down"],
        let kind = Target.Kind(rawValue: stored.kind), case let mid = contents["target.\(number).mid"],
        [up, down, mid ?? up].allSatisfy(\.dtype.isReadable),
        FactorShapes.fault(up: up.shape, down: down.shape, mid: mid?.shape) == nil
      else { throw BakingError(.undo(reason: "found no factors of \(stored.name)"), path: path) }
      return Target(
        name: stored.name, key: TargetKey(.denoiser, stored.name), kind: kind, up: up, down: down,
        mid: mid, names: .init(up: "", down: ""), alpha: nil, scale: stored.scale,
        isTransposed: stored.isTransposed)
    }
    return Dictionary(grouping: record.additions, by: \.weight).mapValues { list in
      list.map { addition in
        AdaptedWeights.Addition(
          target: targets[addition.target], file: path, strength: addition.strength,
          placement: .init(
            stored: addition.weight, storedRows: addition.rows[0]..<addition.rows[1], target: addition.target,
            deltaRows: addition.deltaRows[0]..<addition.deltaRows[1], swapsHalves: addition.swapsHalves,
            isTransposed: addition.isTransposed))
      }
    }
  }
}
