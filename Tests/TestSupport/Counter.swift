import Synchronization

/// Collects numbers from any thread.
public final class Counter: Sendable {
  private let numbers = Mutex<[Int]>([])
  public init() {}
  public func add(_ number: Int) { numbers.withLock { $0.append(number) } }
  public var sorted: [Int] { numbers.withLock { $0.sorted() } }
}
