import Adapters

extension AdapterError: HintedError {
  var place: String { path }

  var hint: Hint? {
    if case .problem(let problem) = kind { problem.kind.hint.map { .new($0) } } else { nil }
  }
}

extension AdapterProblem.Kind {
  /// What to try; `nil` where there is nothing.
  var hint: String? {
    switch self {
    case .needsBase: "give the checkpoint with --base"
    case .spike: "--base makes this surer; lathe resize --clip-spikes takes it down"
    case .overpowersBase: "lathe resize --clip-spikes takes it down"
    case .unknownTensor: "--allow-unknown leaves it out"
    case .loadersDisagree(_, let needsOtherNames): "lathe convert \(needsOtherNames ? "--to kohya " : "")--normalise"
    case .loadsNowhere: "lathe convert --to kohya"
    default: nil
    }
  }
}
