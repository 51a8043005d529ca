import JSON

/// The tokenizer of CLIP's text encoders: text to the numbers of its byte pairs.
///
/// Gives the same tokens as `CLIPTokenizer` of transformers 5, which does not clean its text: neither ligatures nor HTML
/// entities are replaced.
public struct CLIPTokenizer: Sendable {
  private let table: MergeTable

  /// OpenAI's table, which every CLIP and OpenCLIP encoder of Stable Diffusion was trained with. Made at the first use.
  public static let standard: CLIPTokenizer = {
    let text = UnsafeBufferPointer(start: standardMerges.utf8Start, count: standardMerges.utf8CodeUnitCount)
    do {
      return CLIPTokenizer(table: try MergeTable(Array(text), source: "merges"))
    } catch { preconditionFailure("the built-in table is sound: \(error)") }
  }()

  /// A tokenizer from the text of a diffusers folder's `merges.txt`; the errors name it `source`.
  ///
  /// With the text of the `vocab.json` beside it, throws when the two disagree in any token's number.
  ///
  /// - Parameter vocabularySource: what errors call the vocabulary; `source` unless it is given.
  public init(
    merges: String, vocabulary: String? = nil, source: String = "merges.txt", vocabularySource: String? = nil
  ) throws(PromptError) {
    self.init(table: try MergeTable(Array(merges.utf8), source: source))
    if let vocabulary { try check(vocabulary: vocabulary, source: vocabularySource ?? source) }
  }

  private init(table: MergeTable) { self.table = table }

  /// How many tokens there are, `begin` and `end` included.
  public var vocabularySize: Int { table.count + 2 }
  /// The token that every chunk begins with, `<|startoftext|>`.
  public var begin: Int32 { Int32(table.count) }
  /// The token after the text, `<|endoftext|>`.
  public var end: Int32 { Int32(table.count + 1) }
  /// The token of a comma that stands alone.
  public var comma: Int32 { ByteAlphabet.tokens[Int(UInt8(ascii: ","))] + 256 }

  /// The tokens of a text, without `begin` and `end` around them. These appear only where the text spells them out.
  public func ids(of text: String) -> [Int32] {
    var ids: [Int32] = []
    for section in TextSection.sections(of: text) {
      switch section {
      case .begin: ids.append(begin)
      case .end: ids.append(end)
      case .text(let text): for piece in TextPieces(of: text) { append(piece, to: &ids) }
      }
    }
    return ids
  }

  /// Merges the bytes of a piece, always the earliest merge of the table first and its places from left to right.
  private func append(_ piece: ArraySlice<Unicode.Scalar>, to ids: inout [Int32]) {
    var tokens: [Int32] = []
    for scalar in piece { for byte in UTF8.encode(scalar)! { tokens.append(ByteAlphabet.tokens[Int(byte)]) } }
    guard !tokens.isEmpty else { return }
    tokens[tokens.count - 1] += 256
    // Here a token's number is the rank of the merge that makes it.
    ids += MergeQueue.merged(tokens, rank: table.token(merging:_:), token: { $0 })
  }

  private func check(vocabulary: String, source: String) throws(PromptError) {
    guard let fields = JSONValue(parsing: vocabulary)?.object else {
      throw PromptError(.vocabularyText(reason: "found something else"), source: source)
    }
    var numbers: [String: Int] = [:]
    for (token, value) in fields {
      guard case .int(let number) = value else {
        throw PromptError(.vocabularyText(reason: "found other values"), source: source)
      }
      numbers[token] = number
    }
    guard numbers.count == vocabularySize else {
      throw PromptError(.vocabularySize(expected: vocabularySize, found: numbers.count), source: source)
    }
    for token in 0..<vocabularySize {
      let spelling =
        switch token {
        case Int(begin): TextSection.beginSpelling
        case Int(end): TextSection.endSpelling
        default: table.spelling(of: token)
        }
      guard numbers[spelling] == token else {
        throw PromptError(
          .vocabularyEntry(token: spelling, expected: token, found: numbers[spelling]), source: source)
      }
    }
  }
}
