/// A prompt's tags, and its text without them.
///
/// A tag is `<lora:NAME>`, `<lora:NAME:STRENGTH>` or `<lora:NAME:TEXT_ENCODER:UNET>`: with one number for both, with two the
/// text encoder's first. This is the order of A1111; some tools around ComfyUI have the other one. `te=` and `unet=` name
/// the numbers instead. `lyco` is another word for `lora`. Strengths that are not given are 1, and the UNet's is the text
/// encoder's unless it is given.
public struct PromptTags: Equatable, Sendable {
  public struct Tag: Equatable, Sendable {
    /// The name as it is written: the stem of a file.
    public let name: String
    public let textEncoderStrength: Double
    public let denoiserStrength: Double
  }

  /// The prompt with every tag cut out and nothing put in its place.
  public let text: String
  /// In the order of the prompt. A name that comes twice is here twice: the strengths are meant to be added.
  public let tags: [Tag]

  /// Takes the tags out of a prompt. In plain style nothing is a tag.
  ///
  /// Throws for a tag that is not closed, has no name, a strength that is no number or an unknown argument, and for tags of
  /// other kinds such as `<hypernet:...>`. Angle brackets without a word and a colon in them are text.
  public init(of prompt: String, style: PromptStyle) throws(PromptError) {
    guard style != .plain else {
      self.init(text: prompt, tags: [])
      return
    }
    guard prompt.utf8.count <= PromptStyle.longest else {
      throw PromptError(.tooLong(limit: PromptStyle.longest, found: prompt.utf8.count))
    }
    let scalars = Array(prompt.unicodeScalars), lastEnd = scalars.lastIndex(of: ">") ?? -1
    var text = String.UnicodeScalarView()
    var tags: [Tag] = []
    var index = 0
    while index < scalars.count {
      guard scalars[index] == "<", let start = Start(at: index, in: scalars) else {
        text.append(scalars[index])
        index += 1
        continue
      }
      guard start.arguments <= lastEnd, let end = scalars[start.arguments...].firstIndex(of: ">") else {
        // An angle bracket and a colon happen in text, too; only a known kind shows that a tag was meant.
        guard start.isKnown else {
          text.append("<")
          index += 1
          continue
        }
        let tag = String(scalars[index...].prefix(80))
        throw PromptError(.tag(tag, reason: "expected > at the end of the tag, found none"))
      }
      let tag = String(scalars[index...end])
      guard start.isKnown else { throw PromptError(.tagKind(start.kind, tag: tag)) }
      tags.append(try Self.tag(tag, arguments: String(scalars[start.arguments..<end])))
      index = end + 1
    }
    self.init(text: String(text), tags: tags)
  }

  private init(text: String, tags: [Tag]) {
    self.text = text
    self.tags = tags
  }

  /// The start of a tag: an angle bracket, a word, a colon.
  private struct Start {
    let kind: String
    /// Where the arguments begin.
    let arguments: Int

    var isKnown: Bool { kind == "lora" || kind == "lyco" }

    init?(at index: Int, in scalars: [Unicode.Scalar]) {
      let word = scalars[(index + 1)...].prefix { $0.isOfWord }
      guard !word.isEmpty, word.endIndex < scalars.count, scalars[word.endIndex] == ":" else { return nil }
      kind = String(word)
      arguments = word.endIndex + 1
    }
  }

  private static func tag(_ tag: String, arguments: String) throws(PromptError) -> Tag {
    let items = arguments.split(separator: ":", omittingEmptySubsequences: false).map { $0.trimmingWhitespace() }
    guard let name = items.first, !name.isEmpty else {
      throw PromptError(.tag(tag, reason: "name: expected one, found none"))
    }
    var positional: [Double] = []
    var textEncoder: Double?
    var denoiser: Double?
    for item in items.dropFirst() {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let number = parts.last.flatMap { decimalNumber($0) }
      let argument = parts.count == 2 ? parts[0].trimmingWhitespace() : nil
      if let argument, argument != "te", argument != "unet" {
        throw PromptError(.tag(tag, reason: "argument: expected te or unet, found \(argument)"))
      }
      guard let number else {
        throw PromptError(.tag(tag, reason: "strength: expected a number such as 0.8, found \"\(parts.last ?? "")\""))
      }
      switch argument {
      case "te": textEncoder = number
      case "unet": denoiser = number
      default: positional.append(number)
      }
    }
    guard positional.count <= 2 else {
      throw PromptError(.tag(tag, reason: "strengths: expected at most 2, found \(positional.count)"))
    }
    let strength = textEncoder ?? positional.first ?? 1
    return Tag(
      name: name, textEncoderStrength: strength, denoiserStrength: denoiser ?? positional.dropFirst().first ?? strength)
  }
}
