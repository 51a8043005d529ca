import Safetensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A report that could not be written: a full disk, a closed pipe.
struct ConsoleError: Error, CustomStringConvertible {
  let description: String
}

/// Standard output and error, with failures noticed.
enum Console {
  /// Writes a report to standard output.
  ///
  /// - Throws: `ConsoleError` when not all of it could be written; `print` would not notice.
  static func report(_ text: String) throws {
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

  /// Writes a line to standard error.
  static func complain(_ message: String) {
    tell("lathe: \(message.harmless)\n")
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
  /// The text without control characters but the end of a line: names in a stranger's file must not steer the terminal.
  var harmless: String {
    guard utf8.contains(where: { $0 < 0x20 && $0 != 0x0a || $0 == 0x7f }) else { return self }
    return String(decoding: utf8.map { $0 < 0x20 && $0 != 0x0a || $0 == 0x7f ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
  }
}
