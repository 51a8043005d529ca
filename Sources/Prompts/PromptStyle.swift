/// Whose rules a prompt is written in.
public enum PromptStyle: String, CaseIterable, Sendable {
  /// Those of the A1111 web interface: `(more)`, `[less]`, `(exactly:1.3)`, `BREAK`, and chunks that break at commas.
  case a1111
  /// Those of ComfyUI: only parentheses, and a number replaces what stands around it.
  case comfy
  /// None: every character is text, and what does not fit into one chunk is cut off, as diffusers does it.
  case plain

  /// Bytes of a prompt: some hundred times what a text encoder sees at once.
  static let longest = 1 << 16
  /// Brackets in each other: (1.1)^100 is more than any weight that is of use.
  static let deepest = 100

  /// The prompt as texts of one weight each, without empty ones. The prompt's tags must have been taken out before;
  /// see `PromptTags`.
  ///
  /// Throws when the prompt is longer than 64 KiB, has more than 100 brackets in each other, a weight that is no number, or what this style has but this room does not: prompt
  /// editing, alternation, or composition.
  public func parts(of prompt: String) throws(PromptError) -> [PromptPart] {
    guard prompt.utf8.count <= Self.longest else {
      throw PromptError(.tooLong(limit: Self.longest, found: prompt.utf8.count))
    }
    return switch self {
    case .a1111: try A1111Grammar.parts(of: prompt)
    case .comfy: try ComfyGrammar.parts(of: prompt)
    case .plain: prompt.isEmpty ? [] : [.text(prompt, weight: 1)]
    }
  }
}

/// A piece of a prompt.
public enum PromptPart: Equatable, Sendable {
  case text(String, weight: Double)
  /// The chunk ends here, however short it is.
  case chunkBreak
}
