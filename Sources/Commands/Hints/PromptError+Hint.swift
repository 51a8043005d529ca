import Prompts

extension PromptError: HintedError {
  var place: String { source }

  var hint: Hint? {
    switch kind {
    case .construct: .alternative("use --prompt-style plain")
    case .tagKind: .new("--prompt-style plain takes tags as text")
    default: nil
    }
  }
}
