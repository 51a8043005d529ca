import Files

extension FileError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .exists: .new("--force overwrites it")
    default: nil
    }
  }
}
