/// Whose rules a prompt is written in.
public enum PromptStyle: String, CaseIterable, Sendable {
  /// Those of the A1111 web interface: `(more)`, `[less]`, `(exactly:1.3)`, `BREAK`, and chunks that break at commas.
  case a1111
  /// Those of ComfyUI: only parentheses, and a number replaces what stands around it.
  case comfy
  /// None: every character is text, and what does not fit into one chunk is cut off, as diffusers does it.
  case plain

  /// The prompt as texts of one weight each, without empty ones. The prompt's tags must have been taken out before;
  /// see `PromptTags`.
  ///
  /// Throws when the prompt has a weight that is no number, or what this style has but this room does not: prompt
  /// editing, alternation, or composition.
  public func parts(of prompt: String) throws(PromptError) -> [PromptPart] {
    switch self {
    case .a1111: try A1111Grammar.parts(of: prompt)
    case .comfy: ComfyGrammar.parts(of: prompt)
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
