import Platform

/// Entries that a signal handler can go through: plain memory that never moves and is never given back.
///
/// Whoever changes it does so in `Interruption.uninterrupted`, one thread at a time; the handler waits for that.
struct SignalTable {
  /// A text, and addresses that it belongs to. An entry without a text is free.
  struct Entry {
    var text: UnsafeMutablePointer<CChar>?
    var start: UInt = 0
    var end: UInt = 0
  }

  private struct Block {
    var entries: UnsafeMutablePointer<Entry>
    var next: UnsafeMutablePointer<Block>?
  }

  private static let blockCount = 1024
  private var first: UnsafeMutablePointer<Block>?
  private var freeEntries: [UnsafeMutablePointer<Entry>] = []

  /// - Returns: the entry, for `remove`.
  mutating func add(_ text: String, start: UInt = 0, end: UInt = 0) -> UnsafeMutablePointer<Entry> {
    if freeEntries.isEmpty {
      let entries = UnsafeMutablePointer<Entry>.allocate(capacity: Self.blockCount)
      entries.initialize(repeating: Entry(text: nil), count: Self.blockCount)
      let block = UnsafeMutablePointer<Block>.allocate(capacity: 1)
      block.initialize(to: Block(entries: entries, next: first))
      first = block
      freeEntries = (0..<Self.blockCount).reversed().map { entries + $0 }
    }
    let entry = freeEntries.removeLast()
    entry.pointee = Entry(text: strdup(text), start: start, end: end)
    return entry
  }

  mutating func remove(_ entry: UnsafeMutablePointer<Entry>) {
    free(entry.pointee.text)
    entry.pointee = Entry(text: nil)
    freeEntries.append(entry)
  }

  /// Goes through all entries, as a signal handler may.
  func forEach(_ body: (Entry) -> Void) {
    var block = first
    while let current = block {
      for index in 0..<Self.blockCount where current.pointee.entries[index].text != nil {
        body(current.pointee.entries[index])
      }
      block = current.pointee.next
    }
  }
}
