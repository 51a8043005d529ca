import Files
import Foundation
import Tensors

/// As a file: a line of text, the key's name, the hash of all that follows, and lists of numbers with their counts.
extension AuditAnswer {
  private static let heading = "lathe audit answer 1\n"

  /// What a file of the answer holds.
  func bytes(for key: AuditKey) -> [UInt8] {
    var numbers: [UInt8] = []
    func add(_ lists: [[Float]]) {
      Self.add(UInt32(lists.count), to: &numbers)
      for list in lists {
        Self.add(UInt32(list.count), to: &numbers)
        for number in list { Self.add(number.bitPattern, to: &numbers) }
      }
    }
    Self.add(UInt32(predictions.count), to: &numbers)
    for prompt in predictions { add(prompt) }
    add(latents)
    return Array("\(Self.heading)\(key.name)\n\(ContentHash.sha256(Bytes(copying: numbers)))\n".utf8) + numbers
  }

  private static func add(_ number: UInt32, to bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
  }

  /// - Returns: `nil` for anything but the whole file of this key.
  init?(_ file: Data, of key: AuditKey) {
    let text = Array("\(Self.heading)\(key.name)\n".utf8), hashCount = 65
    guard file.count >= text.count + hashCount, file.starts(with: text) else { return nil }
    let numbers = Array(file.dropFirst(text.count + hashCount))
    let hash = file.dropFirst(text.count).prefix(hashCount)
    guard hash.elementsEqual("\(ContentHash.sha256(Bytes(copying: numbers)))\n".utf8) else { return nil }
    var reader = Reader(bytes: numbers[...])
    guard let prompts = reader.number() else { return nil }
    self.init(scenes: key.scenes)
    for _ in 0..<prompts {
      guard let lists = reader.lists() else { return nil }
      predictions.append(lists)
    }
    guard let lists = reader.lists(), reader.bytes.isEmpty, lists.count == scenes.count else { return nil }
    latents = lists
    isReused = true
  }

  /// Takes numbers from the front of bytes.
  private struct Reader {
    var bytes: ArraySlice<UInt8>

    mutating func number() -> UInt32? {
      guard bytes.count >= 4 else { return nil }
      defer { bytes = bytes.dropFirst(4) }
      return bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func lists() -> [[Float]]? {
      guard let count = number() else { return nil }
      var lists: [[Float]] = []
      for _ in 0..<count {
        guard let length = number(), bytes.count >= 4 * Int(length) else { return nil }
        lists.append((0..<length).map { _ in Float(bitPattern: number()!) })
      }
      return lists
    }
  }
}
