import Adapters
import Factoring
import Files
import Foundation
import Tensors

/// The part of an undo file that is text: which files there were, and what was added where.
struct UndoRecord: Codable {
  static let currentVersion = 2
  /// Of files that speak of safetensors and plain numbers only, which every Lathe reads.
  static let firstVersion = 1

  /// The most additions of one target, and to one weight. Bakes make a handful; without a limit a few lines of a record
  /// could ask for factors of any size beside each other.
  static let mostOfTarget = 16
  static let mostToWeight = 4096

  struct File: Codable {
    var path: String
    /// SHA-256 of the base file's beginning: its length field and header.
    var headSHA256: String
    /// SHA-256 of the base file's data section; of all of a GGUF file.
    var contentSHA256: String
    /// The size of a GGUF file, which may end in padding.
    var ggufCount: Int?
  }

  /// A file beside the weights whose text the bake changed.
  struct Companion: Codable {
    var path: String
    var sha256: String
  }

  /// A tensor of the base, and its number format after the bake; `nil` when it was left out.
  struct Weight: Codable {
    var file: Int
    var name: String
    var dtype: String?
  }

  struct StoredTarget: Codable {
    var file: String
    var name: String
    var kind: String
    var scale: Double
    var isTransposed: Bool
  }

  struct Addition: Codable {
    var weight: Int
    var target: Int
    var strength: Double
    var rows: [Int]
    var deltaRows: [Int]
    var swapsHalves: Bool
    var isTransposed: Bool
  }

  var version = firstVersion
  var tool = ToolVersion.current
  var isFolder: Bool
  var files: [File]
  var companions: [Companion]
  var weights: [Weight]
  var storedTargets: [StoredTarget]
  var additions: [Addition]

  /// The targets whose factors the file holds, by their numbers in the record.
  private(set) var targets: [Target] = []

  private enum CodingKeys: String, CodingKey {
    case version, tool, isFolder, files, companions, weights, storedTargets, additions
  }

  /// - Parameters:
  ///   - heads: the beginning of each base file.
  ///   - hashes: of each base file's data section.
  ///   - companions: with their contents in the base.
  init(_ plan: BakePlan, heads: [Bytes], hashes: [String], companions: [(path: String, bytes: Bytes)]) {
    isFolder = plan.base.isFolder
    files = plan.base.files.indices.map {
      File(
        path: plan.base.files[$0].relativePath, headSHA256: ContentHash.sha256(heads[$0]), contentSHA256: hashes[$0],
        ggufCount: plan.base.files[$0].contents.gguf?.bytes.count)
    }
    if !plan.recoded.isEmpty || files.contains(where: { $0.ggufCount != nil }) { version = Self.currentVersion }
    self.companions = companions.map { Companion(path: $0.path, sha256: ContentHash.sha256($0.bytes)) }
    weights = plan.base.weights.indices.map { index in
      let weight = plan.base.weights[index], name = weight.stored.name
      guard plan.outputs[index] != nil, case let output = plan.stored(index), output.name == name else {
        return Weight(file: weight.file, name: name, dtype: nil)
      }
      return Weight(file: weight.file, name: name, dtype: output.dtype.rawValue)
    }
    (storedTargets, additions) = ([], [])
    var numbers: [String: (target: Int, count: Int)] = [:]
    for (index, list) in plan.weights.additions.sorted(by: { $0.key < $1.key }) where !plan.keepsOriginal(index) {
      for addition in list {
        // What depends on the base depends on the strength and on what came before, too.
        let identity = "\(addition.file)\n\(addition.target.name)\n\(addition.strength)"
        var (number, count) = numbers[identity] ?? (targets.count, 0)
        // An adapter that is baked in many times is stored again.
        if count == Self.mostOfTarget { (number, count) = (targets.count, 0) }
        numbers[identity] = (number, count + 1)
        if count == 0 {
          targets.append(addition.target)
          storedTargets.append(
            StoredTarget(
              file: fileName(addition.file), name: addition.target.name, kind: addition.target.kind.rawValue,
              scale: addition.target.scale, isTransposed: addition.target.isTransposed))
        }
        let place = addition.placement
        additions.append(
          Addition(
            weight: index, target: number, strength: addition.strength,
            rows: [place.storedRows.lowerBound, place.storedRows.upperBound],
            deltaRows: [place.deltaRows.lowerBound, place.deltaRows.upperBound], swapsHalves: place.swapsHalves,
            isTransposed: place.isTransposed))
      }
    }
  }

  /// Whether a bake can have made so many additions.
  var isPlausible: Bool {
    func most(_ numbers: [Int]) -> Int { Dictionary(grouping: numbers, by: \.self).values.map(\.count).max() ?? 0 }
    return most(additions.map(\.target)) <= Self.mostOfTarget && most(additions.map(\.weight)) <= Self.mostToWeight
  }

  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
