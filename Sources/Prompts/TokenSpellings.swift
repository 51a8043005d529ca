/// The spellings of a vocabulary's tokens, found by their number or by their bytes.
///
/// An open hash table, because building a dictionary of slices would take most of a tokenizer's start.
struct TokenSpellings: Sendable {
  private var bytes: [UInt8] = []
  /// Where each token's bytes end.
  private var ends: [Int] = []
  private var hashes: [UInt64] = []
  /// One more than the token whose hash leads here; 0 where there is none. As many as a power of two.
  private var slots: [Int32]

  /// Room for `tokens` spellings with so many `bytes` in all.
  init(tokens: Int, bytes: Int) {
    slots = [Int32](repeating: 0, count: 1 << (Int.bitWidth - tokens.leadingZeroBitCount + 1))
    ends.reserveCapacity(tokens)
    hashes.reserveCapacity(tokens)
    self.bytes.reserveCapacity(bytes)
  }

  var count: Int { ends.count }

  subscript(token: Int) -> ArraySlice<UInt8> { bytes[(token == 0 ? 0 : ends[token - 1])..<ends[token]] }

  func token(spelled spelling: ArraySlice<UInt8>) -> Int32? {
    let found = slots[slot(of: spelling, hash: Self.hash(spelling))]
    return found == 0 ? nil : found - 1
  }

  /// Adds the next token; false when there is one with this spelling.
  mutating func append(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
    precondition(count < slots.count / 2, "there is room for as many tokens as were announced")
    let start = bytes.count
    bytes += left
    bytes += right
    let spelling = bytes[start...]
    let hash = Self.hash(spelling)
    let slot = slot(of: spelling, hash: hash)
    guard slots[slot] == 0 else {
      bytes.removeSubrange(start...)
      return false
    }
    ends.append(bytes.count)
    hashes.append(hash)
    slots[slot] = Int32(count)
    return true
  }

  /// Where the spelling is, or would be.
  private func slot(of spelling: ArraySlice<UInt8>, hash: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let token = Int(slots[slot] - 1)
      if hashes[token] == hash, self[token].elementsEqual(spelling) { break }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  /// FNV-1a with its bits mixed at the end, where the table takes them.
  private static func hash(_ spelling: ArraySlice<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in spelling { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash ^ (hash >> 32)
  }
}
