import JSON

/// The tokenizer of Qwen's language models, which text encoders of newer picture models are: byte pairs without an end of
/// words, in the case that they are written in.
///
/// Gives the same tokens as `Qwen2Tokenizer` of transformers 5.
public struct QwenTokenizer: Sendable {
  /// The place in the table of the merge of two tokens, by these, the left one in the upper half.
  private var ranks: [UInt64: Int32] = [:]
  /// What each merge makes.
  private var results: [Int32] = []
  /// Of each byte.
  private var bytes = [Int32](repeating: 0, count: 256)
  /// Tokens that stand for a whole text, the longest first: `<|im_start|>`.
  private var whole: [(spelling: [Unicode.Scalar], token: Int32)] = []
  /// One more than the highest token.
  public private(set) var vocabularySize = 0

  /// Reads the text of a `tokenizer.json`; errors name it `source`.
  ///
  /// - Throws: `PromptError` for a tokenizer of another kind, and for tables that do not go together.
  public init(json: String, source: String = "tokenizer.json") throws(PromptError) {
    guard let fields = JSONValue(parsing: json)?.object, let model = fields["model"]?.object else {
      throw PromptError(.tokenizer(what: "content", expected: "a tokenizer", found: "something else"), source: source)
    }
    try Self.check(fields, model, source)
    var merges: [(String, String)] = []
    for value in model["merges"]?.items ?? [] {
      let parts = value.items?.compactMap(\.string) ?? value.string?.split(separator: " ").map(String.init) ?? []
      guard parts.count == 2 else { throw Self.refusal("merges", "pairs of tokens", value.text, source) }
      merges.append((parts[0], parts[1]))
    }
    var added: [(String, Int32)] = []
    for value in fields["added_tokens"]?.items ?? [] { added.append(try Self.added(value, id: nil, source)) }
    try self.init(vocabulary: model["vocab"]?.object ?? [:], merges: merges, added: added, source: source)
  }

  /// Reads the texts of a `vocab.json`, a `merges.txt` and a `tokenizer_config.json`, which names the tokens that are no
  /// byte pairs; errors name the first `source`.
  ///
  /// - Throws: `PromptError` for tables that do not go together.
  public init(
    vocabulary: String, merges: String, configuration: String, source: String = "vocab.json"
  ) throws(PromptError) {
    guard let tokens = JSONValue(parsing: vocabulary)?.object else {
      throw PromptError(.vocabularyText(reason: "found something else"), source: source)
    }
    var pairs: [(String, String)] = []
    for (number, line) in merges.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      if line.isEmpty || number == 0 && line.hasPrefix("#version") { continue }
      let parts = line.split(separator: " ")
      guard parts.count == 2 else { throw Self.refusal("merges", "two tokens", String(line), source) }
      pairs.append((String(parts[0]), String(parts[1])))
    }
    var added: [(String, Int32)] = []
    for (id, value) in JSONValue(parsing: configuration)?.object?["added_tokens_decoder"]?.object ?? [:] {
      added.append(try Self.added(value, id: Int32(id), source))
    }
    try self.init(vocabulary: tokens, merges: pairs, added: added, source: source)
  }

  private init(
    vocabulary: [String: JSONValue], merges: [(String, String)], added: [(String, Int32)], source: String
  ) throws(PromptError) {
    var tokens: [String: Int32] = [:]
    tokens.reserveCapacity(vocabulary.count)
    for (spelling, value) in vocabulary {
      guard case .int(let number) = value, (0..<Self.most).contains(number) else {
        throw Self.refusal(spelling, "a number below \(Self.most)", value.text, source)
      }
      tokens[spelling] = Int32(number)
    }
    func token(_ spelling: String) throws(PromptError) -> Int32 {
      guard let token = tokens[spelling] else {
        throw Self.refusal("vocab", "the token \"\(spelling.prefix(40))\"", "none", source)
      }
      return token
    }
    for (index, byte) in ByteAlphabet.bytes.enumerated() {
      bytes[Int(byte)] = try token(String(Character(ByteAlphabet.characters[index])))
    }
    ranks.reserveCapacity(merges.count)
    results.reserveCapacity(merges.count)
    for (left, right) in merges {
      let key = Self.key(try token(left), try token(right)), result = try token(left + right)
      if ranks[key] == nil { ranks[key] = Int32(results.count) }
      results.append(result)
    }
    whole = added.filter { !$0.0.isEmpty }.map { (Array($0.0.unicodeScalars), $0.1) }
      .sorted { ($1.spelling.count, $0.token) < ($0.spelling.count, $1.token) }
    vocabularySize = Int(max(tokens.values.max() ?? 0, added.map(\.1).max() ?? 0)) + 1
  }

  /// Ten times what any model has.
  private static let most = 1 << 21

  /// - Parameter id: of a table by numbers; `nil` where the entry says it.
  private static func added(_ value: JSONValue, id: Int32?, _ source: String) throws(PromptError) -> (String, Int32) {
    let fields = value.object ?? [:]
    guard let spelling = fields["content"]?.string, let id = id ?? fields["id"]?.double.flatMap(Int32.init(exactly:)),
      (0..<Int32(most)).contains(id)
    else { throw refusal("added_tokens", "a token and its number", String(value.text.prefix(80)), source) }
    for name in ["single_word", "lstrip", "rstrip", "normalized"] where fields[name] == .bool(true) {
      throw refusal("\(spelling): \(name)", "false", "true", source)
    }
    return (spelling, id)
  }

  /// Refuses what is computed in another way.
  private static func check(
    _ fields: [String: JSONValue], _ model: [String: JSONValue], _ source: String
  ) throws(PromptError) {
    func expect(_ what: String, _ value: JSONValue?, _ expected: [JSONValue?]) throws(PromptError) {
      let value = value == .null ? nil : value
      guard expected.contains(value) else {
        let found = value.map { String($0.text.prefix(120)) } ?? "none"
        throw refusal(what, (expected[0] ?? .null).text, found, source)
      }
    }
    try expect("model: type", model["type"], [.string("BPE")])
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
      try expect("model: \(name)", model[name], [.string(""), nil])
    }
    for name in ["fuse_unk", "byte_fallback", "ignore_merges"] {
      try expect("model: \(name)", model[name], [.bool(false), nil])
    }
    try expect("model: dropout", model["dropout"], [nil])
    try expect("normalizer: type", fields["normalizer"]?.object?["type"], [.string("NFC")])
    let steps = fields["pre_tokenizer"]?.object?["pretokenizers"]?.items?.map { $0.object ?? [:] } ?? []
    try expect("pre_tokenizer: steps", .int(steps.count), [.int(2)])
    try expect("pre_tokenizer: type", steps[0]["type"], [.string("Split")])
    try expect("pre_tokenizer: pattern", steps[0]["pattern"]?.object?["Regex"], [.string(QwenPieces.pattern)])
    try expect("pre_tokenizer: behavior", steps[0]["behavior"], [.string("Isolated")])
    try expect("pre_tokenizer: invert", steps[0]["invert"], [.bool(false), nil])
    try expect("pre_tokenizer: type", steps[1]["type"], [.string("ByteLevel")])
    try expect("pre_tokenizer: add_prefix_space", steps[1]["add_prefix_space"], [.bool(false)])
    try expect("pre_tokenizer: use_regex", steps[1]["use_regex"], [.bool(false)])
  }

  private static func refusal(_ what: String, _ expected: String, _ found: String, _ source: String) -> PromptError {
    PromptError(.tokenizer(what: what, expected: expected, found: found), source: source)
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  // MARK: Tokens

  /// The token that stands for a whole text, such as `<|im_start|>`.
  public func token(spelled spelling: String) -> Int32? {
    let scalars = Array(spelling.unicodeScalars)
    return whole.first { $0.spelling == scalars }?.token
  }

  /// The tokens of a text; nothing stands before or after them.
  ///
  /// - Throws: `PromptError` for a text longer than 64 KiB.
  public func ids(of text: String) throws(PromptError) -> [Int32] {
    guard text.utf8.count <= PromptStyle.longest else {
      throw PromptError(.tooLong(limit: PromptStyle.longest, found: text.utf8.count))
    }
    let scalars = Array(text.unicodeScalars)
    var ids: [Int32] = [], start = 0, place = 0
    while place < scalars.count {
      guard let found = whole.first(where: { scalars[place...].starts(with: $0.spelling) }) else {
        place += 1
        continue
      }
      append(scalars[start..<place], to: &ids)
      ids.append(found.token)
      place += found.spelling.count
      start = place
    }
    append(scalars[start...], to: &ids)
    return ids
  }

  private func append(_ text: ArraySlice<Unicode.Scalar>, to ids: inout [Int32]) {
    for piece in QwenPieces(of: CanonicalForms.standard.composed(text)) {
      let tokens = piece.flatMap { scalar in UTF8.encode(scalar)!.map { bytes[Int($0)] } }
      ids += MergeQueue.merged(tokens, rank: { ranks[Self.key($0, $1)] }, token: { results[Int($0)] })
    }
  }
}

extension JSONValue {
  fileprivate var items: [JSONValue]? { if case .array(let items) = self { items } else { nil } }
}
