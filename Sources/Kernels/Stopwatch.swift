/// Where the time goes, by kind of work.
public final class Stopwatch {
  /// The kinds of work that are told apart; `moving` copies maps, `packing` lays weights out for the kernels.
  public enum Kind: String, CaseIterable, Sendable {
    case convolution, winograd, linear, attention, norm, activation, moving, packing
  }

  /// Wall time since the beginning or the last `reset()`; kinds that never ran are absent.
  public private(set) var times: [Kind: Duration] = [:]

  func measure<Result>(_ kind: Kind, _ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { times[kind, default: .zero] += ContinuousClock.now - start }
    return try body()
  }

  /// Forgets all times, so that what comes next is measured alone.
  public func reset() { times = [:] }
}
