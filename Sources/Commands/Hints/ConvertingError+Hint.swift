import Converting

extension ConvertingError: HintedError {
  var place: String { path }

  var hint: Hint? { if case .noFamily = kind { .new("--family") } else { nil } }
}
