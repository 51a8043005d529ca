import Files
import Platform

/// A report that could not be written: a full disk, a closed pipe.
struct ConsoleError: Error, CustomStringConvertible {
  let description: String
}

/// Standard output and error, with failures noticed.
enum Console {
  /// Writes a report to standard output.
  ///
  /// - Throws: `ConsoleError` when not all of it could be written; `print` would not notice. `FileError.changed` when a
  ///   file that the report tells of is not any more what it was when it was read.
  static func report(_ text: String) throws {
    try InputFiles.requireUnchangedForReport()
    var bytes = Array(text.harmless.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      guard count > 0 else {
        if count < 0, errno == EINTR { continue }
        throw ConsoleError(description: "standard output: cannot write: \(systemReason())")
      }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Writes a line to standard error: one, and one that can be read, whatever names are in it.
  static func complain(_ message: String) {
    tell("lathe: \(message.harmless.oneLine)\n")
  }

  /// Writes to standard error as it is; nothing can be done when that fails.
  static func tell(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }

  /// The width of the terminal that reads standard output; no limit when it is a file or a pipe.
  static var width: Int {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return .max
    }
    return Int(size.ws_col)
  }

  static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }
}

extension String {
  /// The text without characters that steer a terminal, but for the end of a line: names come from strangers' files.
  var harmless: String {
    guard utf8.contains(where: { $0 < 0x20 && $0 != 0x0a || $0 >= 0x7f }) else { return self }
    return String(String.UnicodeScalarView(unicodeScalars.map { $0.steersTerminal && $0 != "\n" ? "?" : $0 }))
  }

  /// The text without ends of lines, and without its middle where it is longer than anybody reads.
  var oneLine: String {
    let line = utf8.contains(0x0a) ? replacing("\n", with: "?") : self
    guard line.utf8.count > 1000, line.count > 1000 else { return line }
    return line.prefix(600) + " … " + line.suffix(300)
  }
}

extension Unicode.Scalar {
  /// Control characters, and those that turn the direction of writing around.
  fileprivate var steersTerminal: Bool {
    value < 0x20 || (0x7f...0x9f).contains(value) || (0x202a...0x202e).contains(value)
      || (0x2066...0x2069).contains(value)
  }
}
