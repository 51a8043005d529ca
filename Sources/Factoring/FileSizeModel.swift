package import Safetensors
import Tensors

/// The exact size of a safetensors file as a function of its targets' ranks, without building its header.
///
/// The header's length depends on ranks and offsets through their digits; this counts them, so that a limit in bytes
/// can be met exactly.
package struct FileSizeModel {
  /// A tensor whose size is proportional to a target's rank, or fixed.
  package struct Part {
    /// The target whose rank decides; `nil` for a tensor of fixed size that is always there.
    package let target: Int?
    /// The tensor at rank 1 (or as it is).
    package let item: SafetensorsLayout.Item
    /// Whether the rank is one of the extents: true for factors, false for alphas.
    package let growsWithRank: Bool

    package init(target: Int?, item: SafetensorsLayout.Item, growsWithRank: Bool) {
      (self.target, self.item, self.growsWithRank) = (target, item, growsWithRank)
    }
  }

  private struct Line {
    let target: Int?
    let bytesPerRank: Int
    let fixedBytes: Int
    /// Characters of the header entry less the digits of rank and offsets.
    let characters: Int
    let hasRank: Bool
  }

  /// In file order.
  private let lines: [Line]
  private let frameCharacters: Int
  private let growth: MetadataGrowth?

  /// How the metadata grows with the targets that are kept and their ranks.
  package struct MetadataGrowth {
    /// For each target: characters that it adds besides the digits of its rank, and how often those digits stand there.
    package var characters: [Int]
    package var rankCount: Int
    /// Targets of one group share lists, whose first items need no comma; and how many lists there are.
    package var groups: [Int]
    package var listCount: Int
  }

  /// - Parameters:
  ///   - metadata: any with the final keys and lengths of values, as for no targets at all.
  ///   - growth: what kept targets add to it.
  package init(parts: [Part], metadata: [(key: String, value: String)], growth: MetadataGrowth? = nil) {
    self.growth = growth
    lines = parts.sorted { $0.item.precedes($1.item) }.map { part in
      Line(
        target: part.target, bytesPerRank: part.growsWithRank ? part.item.byteCount : 0,
        fixedBytes: part.growsWithRank ? 0 : part.item.byteCount,
        characters: part.item.headerText(at: 0..<0).utf8.count - (part.growsWithRank ? 3 : 2),
        hasRank: part.growsWithRank)
    }
    // Without tensors the header is the frame alone; the padding of that header does not count here.
    let frame = SafetensorsLayout([], metadata: metadata).head().dropFirst(8)
    frameCharacters = frame.count - frame.reversed().prefix { $0 == 0x20 }.count
    hasMetadata = !metadata.isEmpty
  }

  private let hasMetadata: Bool

  /// The size of the file in bytes when target `i` has rank `ranks[i]`; targets of rank 0 are left out.
  package func fileSize(ranks: [Int]) -> Int {
    var offset = 0, characters = frameCharacters, count = 0
    for line in lines {
      let rank = line.target.map { ranks[$0] } ?? 1
      guard rank > 0 else { continue }
      let end = offset + line.fixedBytes + line.bytesPerRank * rank
      characters += line.characters + Self.digits(offset) + Self.digits(end) + (line.hasRank ? Self.digits(rank) : 0)
      offset = end
      count += 1
    }
    characters += max(0, count - 1) + (hasMetadata && count > 0 ? 1 : 0)
    if let growth {
      var groups: Set<Int> = []
      for (target, rank) in ranks.enumerated() where rank > 0 {
        characters += growth.characters[target] + growth.rankCount * Self.digits(rank)
        groups.insert(growth.groups[target])
      }
      characters -= growth.listCount * groups.count
    }
    return 8 + (characters + 7) / 8 * 8 + offset
  }

  /// Bytes of factors that one more rank of each target adds.
  package func bytesPerRank(targetCount: Int) -> [Int] {
    var result = [Int](repeating: 0, count: targetCount)
    for line in lines { if let target = line.target { result[target] += line.bytesPerRank } }
    return result
  }

  /// The bytes that each target adds beside its factors' data: header entries and alpha.
  ///
  /// - Parameter largestOffset: how far offsets and ranks may reach, for the upper limit; `nil` for the lower limit.
  package func entryBytes(targetCount: Int, largestOffset: Int?) -> [Int] {
    let digits = largestOffset.map { 2 * Self.digits($0) + 4 } ?? 3
    var result = [Int](repeating: 0, count: targetCount)
    for line in lines {
      if let target = line.target { result[target] += line.characters + digits + 1 + line.fixedBytes }
    }
    if let growth {
      let rankDigits = largestOffset == nil ? 1 : 4
      for target in result.indices { result[target] += growth.characters[target] + growth.rankCount * rankDigits }
    }
    return result
  }

  /// Bytes that a file can have less than its entries' lower limits say: padding, and commas that first items of lists
  /// do not need.
  package var saving: Int { 8 + (growth.map { $0.listCount * Set($0.groups).count } ?? 0) }

  private static func digits(_ value: Int) -> Int {
    var count = 1, limit = 10
    while value >= limit {
      count += 1
      limit *= 10
    }
    return count
  }
}
