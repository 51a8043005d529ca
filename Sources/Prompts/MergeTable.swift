/// A byte-pair vocabulary: which two tokens become which one.
///
/// Tokens 0 to 255 are the bytes in the order of `ByteAlphabet`, 256 to 511 the same at the end of a word, and then comes
/// what each merge makes, so that a smaller token is always an earlier merge.
struct MergeTable: Sendable {
  /// By the two tokens, the left one in the upper half.
  private var merged: [UInt64: Int32] = [:]
  private var spellings: TokenSpellings

  /// How many tokens there are.
  var count: Int { spellings.count }

  /// Reads a table: a pair of tokens a line in rank order, after an optional line that begins with `#version`. Throws,
  /// with the line's number, when a line is not a pair, or a token is unknown or made twice.
  init(_ text: [UInt8], source: String) throws(PromptError) {
    let lines = text.count { $0 == UInt8(ascii: "\n") } + 1
    spellings = TokenSpellings(tokens: lines + 2 * ByteAlphabet.characters.count, bytes: text.count + 4096)
    merged.reserveCapacity(lines)
    for ending in ["", "</w>"] {
      for character in ByteAlphabet.characters {
        _ = spellings.append(Array(String(character).utf8)[...], Array(ending.utf8)[...])
      }
    }
    var start = 0
    for number in 1...lines {
      let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
      var line = text[start..<end]
      start = end + 1
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if line.isEmpty || number == 1 && line.starts(with: "#version".utf8) { continue }
      if let reason = add(line) { throw PromptError(.merge(line: number, reason: reason), source: source) }
    }
  }

  /// What `left` and `right` become.
  func token(merging left: Int32, _ right: Int32) -> Int32? { merged[Self.key(left, right)] }

  /// A token in the file's spelling.
  func spelling(of token: Int) -> String { String(decoding: spellings[token], as: UTF8.self) }

  /// Adds the merge of a line; says what is wrong with one that cannot be added.
  private mutating func add(_ line: ArraySlice<UInt8>) -> String? {
    let space = line.firstIndex(of: UInt8(ascii: " ")) ?? line.endIndex
    let (left, right) = (line[..<space], line[space...].dropFirst())
    guard !left.isEmpty, !right.isEmpty, !right.contains(UInt8(ascii: " ")) else {
      return "expected two tokens, found \(quoted(line))"
    }
    guard let leftToken = spellings.token(spelled: left), let rightToken = spellings.token(spelled: right) else {
      let unknown = spellings.token(spelled: left) == nil ? left : right
      return "expected a token that a line above makes, found \(quoted(unknown))"
    }
    let token = Int32(spellings.count)
    guard spellings.append(left, right) else {
      return "\(quoted(left + right)): expected a new token, found an old one"
    }
    merged[Self.key(leftToken, rightToken)] = token
    return nil
  }

  private func quoted(_ text: ArraySlice<UInt8>) -> String { "\"\(String(decoding: text.prefix(80), as: UTF8.self))\"" }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
