/// What is wrong with a prompt or with the tables of a tokenizer.
public struct PromptError: Error, Equatable, CustomStringConvertible {
  /// Something of A1111's prompt language that changes the prompt while an image is made.
  public enum Construct: String, Sendable {
    case editing = "prompt editing"
    case alternation
    case composition
  }

  public enum Kind: Equatable, Sendable {
    case merge(line: Int, reason: String)
    /// A part of a tokenizer's file that is missing, or that is computed in another way here.
    case tokenizer(what: String, expected: String, found: String)
    case vocabularyText(reason: String)
    case vocabularySize(expected: Int, found: Int)
    case vocabularyEntry(token: String, expected: Int, found: Int?)
    /// `position` counts characters from 1, in the prompt without its tags.
    case construct(Construct, text: String, position: Int)
    case weight(text: String)
    /// Brackets in each other, or a text, beyond what anybody writes.
    case tooDeep(limit: Int)
    case tooLong(limit: Int, found: Int)
    case tagKind(String, tag: String)
    case tag(String, reason: String)
  }

  public let kind: Kind
  /// The file, or "prompt".
  public let source: String

  public init(_ kind: Kind, source: String = "prompt") {
    self.kind = kind
    self.source = source
  }

  public var description: String { "\(source): \(message)" }

  /// The message without its source: what, expected, found, and a hint where one exists.
  public var message: String {
    switch kind {
    case .merge(let line, let reason): "line \(line): \(reason)"
    case .tokenizer(let what, let expected, let found): "\(what): expected \(expected), found \(found)"
    case .vocabularyText(let reason): "expected an object of tokens and their numbers; \(reason)"
    case .vocabularySize(let expected, let found):
      "tokens: expected \(expected), found \(found); hint: the vocabulary and the merges are of different tokenizers"
    case .vocabularyEntry(let token, let expected, let found):
      "\(token): number: expected \(expected), found \(found.map(String.init) ?? "none"); hint: the vocabulary and the "
        + "merges are of different tokenizers"
    case .construct(let construct, let text, let position):
      "\(text) at character \(position): \(construct.rawValue) is not supported; hint: "
        + (construct == .composition
          ? "write the word in lower case, which gives the same tokens"
          : "write \\[ and \\] for brackets that are meant as text")
    case .tooDeep(let limit): "brackets: expected at most \(limit) in each other, found more"
    case .tooLong(let limit, let found): "expected at most \(limit) bytes, found \(found)"
    case .weight(let text): "weight: expected a number such as 1.2, found \(text)"
    case .tagKind(let kind, let tag): "\(tag): kind of tag: expected lora or lyco, found \(kind)"
    case .tag(let tag, let reason):
      "\(tag): \(reason); hint: <lora:NAME>, <lora:NAME:0.8> or <lora:NAME:te=0.5:unet=0.8>"
    }
  }
}
