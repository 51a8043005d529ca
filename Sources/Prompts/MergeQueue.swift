/// Merges that wait: the earliest of the table comes first, and of equal ones the leftmost.
///
/// A binary heap: each merge of a text of n bytes would otherwise be looked for among n.
struct MergeQueue {
  private struct Entry {
    let token: Int32
    let place: Int

    func comesBefore(_ other: Entry) -> Bool { (token, place) < (other.token, other.place) }
  }

  private var entries: [Entry] = []

  /// Adds a merge that makes `token` of what stands at `place` and what follows it.
  mutating func push(_ token: Int32, at place: Int) {
    var child = entries.count
    entries.append(Entry(token: token, place: place))
    while child > 0, entries[child].comesBefore(entries[(child - 1) / 2]) {
      entries.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes the first merge away.
  mutating func pop() -> (token: Int32, place: Int)? {
    guard let last = entries.indices.last else { return nil }
    entries.swapAt(0, last)
    let first = entries.removeLast()
    var parent = 0
    while let child = earlierChild(of: parent), entries[child].comesBefore(entries[parent]) {
      entries.swapAt(child, parent)
      parent = child
    }
    return (first.token, first.place)
  }

  private func earlierChild(of parent: Int) -> Int? {
    let left = 2 * parent + 1, right = left + 1
    guard left < entries.count else { return nil }
    return right < entries.count && entries[right].comesBefore(entries[left]) ? right : left
  }
}

extension MergeQueue {
  /// What is left of tokens after all merges, always the earliest of the table first and its places from left to right.
  ///
  /// - Parameters:
  ///   - rank: the place in the table of the merge of two tokens, if there is one.
  ///   - token: what the merge of a rank makes.
  static func merged(
    _ tokens: [Int32], rank: (Int32, Int32) -> Int32?, token: (Int32) -> Int32
  ) -> some Sequence<Int32> {
    var tokens = tokens
    // What stands before and after each token that is left; tokens that are merged away become −1.
    var before = tokens.indices.map { $0 - 1 }, after = tokens.indices.map { $0 + 1 }
    var queue = MergeQueue()
    func offer(_ place: Int) {
      guard place >= 0, after[place] < tokens.count else { return }
      if let rank = rank(tokens[place], tokens[after[place]]) { queue.push(rank, at: place) }
    }
    for place in tokens.indices { offer(place) }
    while let (found, place) = queue.pop() {
      // Either part may be in another token by now.
      let next = after[place]
      guard next < tokens.count, rank(tokens[place], tokens[next]) == found else { continue }
      (tokens[place], tokens[next]) = (token(found), -1)
      after[place] = after[next]
      if after[place] < tokens.count { before[after[place]] = place }
      offer(place)
      offer(before[place])
    }
    return tokens.lazy.filter { $0 >= 0 }
  }
}
