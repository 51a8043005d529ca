import Foundation
import Glibc

/// Runs of a program, timed from outside.
struct Measurement {
  var seconds: [Double] = []
  /// The largest resident set of any run, in bytes; counts mapped pages of the input too.
  var peakBytes = 0

  var median: Double { seconds.sorted()[seconds.count / 2] }
  var fastest: Double { seconds.min()! }

  /// Runs `arguments` once and adds what it took.
  ///
  /// - Returns: what the program printed.
  @discardableResult
  mutating func run(_ arguments: [String]) throws -> Data {
    let outputPath = NSTemporaryDirectory() + "lathe-benchmark-output-\(getpid())"
    defer { unlink(outputPath) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var child = pid_t()
    let start = DispatchTime.now().uptimeNanoseconds
    guard posix_spawn(&child, arguments[0], &actions, nil, &words, environ) == 0 else {
      throw Failure(message: "cannot start \(arguments[0])")
    }
    var status: Int32 = 0, usage = rusage()
    wait4(child, &status, 0, &usage)
    seconds.append(Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9)
    peakBytes = max(peakBytes, usage.ru_maxrss * 1024)
    guard status == 0 else { throw Failure(message: "\(arguments.joined(separator: " ")) ended with status \(status)") }
    return try Data(contentsOf: URL(fileURLWithPath: outputPath))
  }

  struct Failure: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
  }
}
