/// What the command line adds to a message of a room below. Rooms say what is wrong; only the desk knows its options.
struct Hint {
  /// Before the message: what makes its subject an option.
  private let subject: String
  /// Behind it.
  private let ending: String

  /// `<message>; hint: <words>`
  static func new(_ words: String) -> Hint { Hint(subject: "", ending: "; hint: \(words)") }

  /// The message's own hint goes on: `<message>, or <words>`.
  static func alternative(_ words: String) -> Hint { Hint(subject: "", ending: ", or \(words)") }

  /// The message is about an option: `--undo <message>`, or `--<message>` where it begins with the option's name.
  static func about(_ option: String, alternative words: String? = nil) -> Hint {
    Hint(subject: option, ending: words.map { ", or \($0)" } ?? "")
  }

  func completed(_ message: String) -> String { subject + message + ending }
}

/// An error of a room below that the command line has hints for. Each conforms in a file beside this one.
protocol HintedError: Error {
  /// The file it is about, or what else stands first.
  var place: String { get }
  /// What is wrong, without the place and without options.
  var message: String { get }
  /// `nil` where there is nothing to add.
  var hint: Hint? { get }
}

extension Error {
  /// The error in one line, with what to try in the command line's words.
  var line: String {
    guard let error = self as? any HintedError, let hint = error.hint else { return "\(self)" }
    return "\(error.place): \(hint.completed(error.message))"
  }
}
