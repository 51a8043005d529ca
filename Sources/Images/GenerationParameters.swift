import JSON
import Tensors

/// How a picture was made, in the text form that image tools write into the `parameters` chunk of a PNG and read again.
///
/// The form is that of AUTOMATIC1111's stable-diffusion-webui: the prompt; a line that begins with `Negative prompt: `
/// where there is one; and a last line of settings, `Steps: 20, Sampler: Euler a, CFG scale: 7, ...`.
public struct GenerationParameters: Equatable, Sendable {
  /// A setting of the last line. Well-known keys are `Steps`, `Sampler`, `Schedule type`, `CFG scale`, `Seed`, `Size`,
  /// `Model hash`, `Model` and `Version`.
  public struct Setting: Equatable, Sendable {
    /// As the text has it before the colon.
    public let key: String
    /// As the text has it, without quotes.
    public let value: String

    /// - Parameter key: two or more letters, digits, `_`, spaces, `-` and `/`, not beginning with one of the last three;
    ///   readers recognise no others.
    public init(_ key: String, _ value: String) {
      precondition(Self.isKey(key[...]), "readers of parameters do not recognise the key \(key)")
      (self.key, self.value) = (key, value)
    }

    /// A number or another value in its usual text form.
    public init(_ key: String, _ value: some CustomStringConvertible) { self.init(key, value.description) }

    static func isKey(_ text: Substring) -> Bool {
      guard let first = text.first, isWord(first), text.count > 1, text.last != " " else { return false }
      return text.allSatisfy { isWord($0) || " -/".contains($0) }
    }

    private static func isWord(_ character: Character) -> Bool {
      character.isLetter || character.isNumber || character == "_"
    }
  }

  /// All lines before the negative prompt.
  public var prompt: String
  /// Empty for none, in which case its line is left out.
  public var negativePrompt: String
  /// In the order of the text.
  public var settings: [Setting]

  /// Readers recognise the last line only where there are three settings or more.
  public init(prompt: String, negativePrompt: String = "", settings: [Setting] = []) {
    (self.prompt, self.negativePrompt, self.settings) = (prompt, negativePrompt, settings)
  }

  /// The value of the first setting with this key.
  public subscript(key: String) -> String? { settings.first { $0.key == key }?.value }

  /// The text for a PNG. `init(text:)` gives the same parameters back when there are at least three settings, the prompts
  /// neither begin nor end with white space, their lines end with "\n" alone, and none begins with "Negative prompt:".
  public var text: String {
    var text = prompt
    if !negativePrompt.isEmpty { text += "\n" + Self.negativeMark + " " + negativePrompt }
    text += "\n" + settings.map { "\($0.key): \(Self.quoted($0.value))" }.joined(separator: ", ")
    return String(Self.trimmed(text[...]))
  }

  static let negativeMark = "Negative prompt:"

  /// As A1111 has it, a value with a comma, a colon or a new line is quoted as a JSON string. So is one that would not come
  /// back otherwise, because it begins with a quote or has white space at an end.
  static func quoted(_ value: String) -> String {
    let scalars = value.unicodeScalars
    let isUnclear = scalars.first == "\"" || trimmed(value[...]).utf8.count < value.utf8.count
    guard isUnclear || scalars.contains(where: { $0 == "," || $0 == ":" || $0 == "\n" }) else { return value }
    return value.jsonQuoted
  }

  /// Without white space at the ends.
  static func trimmed(_ text: Substring) -> Substring {
    let isSpace = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
    let start = text.unicodeScalars.drop(while: isSpace)
    let end = start.lastIndex { !isSpace($0) }
    return end.map { Substring(start[...$0]) } ?? ""
  }
}
