/// Where the time goes, by kind of work.
public final class Stopwatch {
  public enum Kind: String, CaseIterable, Sendable {
    case convolution, winograd, linear, attention, norm, activation, moving, packing
  }

  public private(set) var times: [Kind: Duration] = [:]

  func measure<Result>(_ kind: Kind, _ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { times[kind, default: .zero] += ContinuousClock.now - start }
    return try body()
  }

  public func reset() { times = [:] }
}
