import Platform
import Synchronization

/// One line on the terminal that tells how far the work is. Nothing when standard error is no terminal.
final class ProgressLine: Sendable {
  private struct State {
    var start: UInt64
    var shown: UInt64 = 0
  }

  private static let interval: UInt64 = 100_000_000

  private let label: String
  private let total: Int
  private let isShown: Bool
  private let state: Mutex<State>

  init(_ label: String, total: Int, isQuiet: Bool) {
    self.label = label
    self.total = total
    isShown = !isQuiet && Console.showsProgress
    state = Mutex(State(start: Self.now))
  }

  /// Shows that `done` of the total are done, at most ten times a second.
  func update(_ done: Int) {
    guard isShown else { return }
    state.withLock { state in
      let now = Self.now
      guard now - state.shown >= Self.interval, done < total else { return }
      state.shown = now
      let elapsed = Double(now - state.start) * 1e-9
      let left = elapsed / Double(max(done, 1)) * Double(total - done)
      let filled = 24 * done / max(total, 1)
      let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: 24 - filled)
      Console.tell(
        "\r\u{1b}[2K\(label)  \(bar)  \(done)/\(total)\(elapsed > 1 ? ", \(Int(left.rounded(.up))) s left" : "")")
    }
  }

  /// Clears the line.
  func finish() {
    guard isShown else { return }
    Console.tell("\r\u{1b}[2K")
  }

  private static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Runs `work` with a progress line around it.
func withProgress<Result>(
  _ label: String, total: Int, isQuiet: Bool, _ work: (@escaping @Sendable (Int) -> Void) throws -> Result
) rethrows -> Result {
  let line = ProgressLine(label, total: total, isQuiet: isQuiet)
  defer { line.finish() }
  return try work { line.update($0) }
}
