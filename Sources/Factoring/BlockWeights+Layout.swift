package import Adapters
package import Models

extension BlockWeights {
  /// Refuses labels that an adapter's layout does not have, and lists of another layout's length: they would have no effect, and
  /// nobody would know.
  ///
  /// - Parameter base: the family of the checkpoint that it is used with, for an adapter that tells nothing of its own.
  /// - Throws: `FactoringError.blockWeights`.
  package func check(for adapter: Adapter, on base: Family = .unknown) throws(FactoringError) {
    let family = adapter.family == .unknown ? base : adapter.family
    let keys = adapter.targets.map(\.key) + adapter.dependents.map(\.key)
    let (labels, counts) = Self.layout(of: family, keys)
    func fault(_ reason: String) -> FactoringError { FactoringError(.blockWeights(reason: reason), path: adapter.path) }
    if let count {
      guard counts.contains(count) else {
        let expected =
          counts.isEmpty ? "labels, for which there is no list" : counts.map(String.init).joined(separator: " or ")
        throw fault(
          "expected \(expected)\(counts.isEmpty ? "" : " numbers") for \(family.withArticle) adapter, found \(count)")
      }
      return
    }
    let blocks = Set(keys.map(\.block))
    if let other = weights.keys.sorted().first(where: { !labels.contains($0) && !blocks.contains($0) }) {
      let known = labels.isEmpty ? blocks.sorted().joined(separator: ", ") : Self.short(labels)
      throw fault(
        "expected a block that the adapter has (\(known)\(labels.isEmpty ? "" : ", or a name such as \(blocks.min() ?? "")")), found \(other)"
      )
    }
    for key in keys {
      if let label = Self.label(of: key), weights[label] != nil, weights[key.block] != nil {
        throw fault("expected each block once, found \(label) and \(key.block)")
      }
    }
  }

  /// A block that an adapter has targets in.
  package struct Block: Sendable {
    /// As its family calls it: `double_blocks.7`.
    package let name: String
    /// As lists of block weights call it, where its family has such lists: `D07`.
    package let label: String?
    package let targets: Int
  }

  /// The blocks of an adapter, as block weights may name them, in the order of their names and numbers.
  package static func blocks(of adapter: Adapter) -> [Block] {
    let keys = adapter.targets.map(\.key) + adapter.dependents.map(\.key)
    func order(_ name: String) -> (Substring, Int) {
      let words = name.split(separator: ".", maxSplits: 1)
      return (words[0], words.count > 1 ? Int(words[1]) ?? -1 : -1)
    }
    return Dictionary(grouping: keys, by: \.block).map { name, keys in
      let labels = Set(keys.map(label))
      return Block(name: name, label: labels.count == 1 ? labels.first ?? nil : nil, targets: keys.count)
    }.sorted { order($0.name) < order($1.name) }
  }

  /// The lengths of lists that mean the blocks of a family.
  package static func listLengths(of family: Family) -> [Int] { Set(family.blockLists.map(\.count)).sorted() }

  /// The labels that a family's blocks have, and the lengths of lists that mean them.
  private static func layout(of family: Family, _ keys: [TargetKey]) -> (labels: [String], counts: [Int]) {
    func known(_ lists: [[String]]) -> (labels: [String], counts: [Int]) {
      (lists.max { $0.count < $1.count } ?? [], Set(lists.map(\.count)).sorted())
    }
    if !family.blockLists.isEmpty { return known(family.blockLists) }
    var seen: Set<String> = []
    let own =
      (keys.compactMap(label)
      + (keys.contains { label(of: $0) == nil || $0.component.isTextEncoder } ? ["BASE"] : []))
      .filter { seen.insert($0).inserted }.sorted()
    // A small adapter of Stable Diffusion may not say which.
    let isOfUNet = family == .unknown && keys.contains { $0.unetBlockLabel != nil }
    return isOfUNet ? known(Family.all.filter(\.hasUNet).flatMap(\.blockLists)) : (own, [])
  }

  /// `IN00 … IN11` for labels that follow each other.
  private static func short(_ labels: [String]) -> String {
    var parts: [(first: String, last: String)] = []
    func number(_ label: String) -> (String, Int)? {
      let word = label.prefix { $0.isLetter }
      return Int(label.dropFirst(word.count)).map { (String(word), $0) }
    }
    for label in labels {
      if let last = parts.last?.last, let (a, b) = number(last), let (c, d) = number(label), a == c, d == b + 1 {
        parts[parts.count - 1].last = label
      } else {
        parts.append((label, label))
      }
    }
    return parts.map { $0.first == $0.last ? $0.first : "\($0.first) … \($0.last)" }.joined(separator: ", ")
  }
}
