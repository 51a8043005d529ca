import Synchronization

/// Collects numbers from any thread.
final class Counter: Sendable {
  private let numbers = Mutex<[Int]>([])
  func add(_ number: Int) { numbers.withLock { $0.append(number) } }
  var sorted: [Int] { numbers.withLock { $0.sorted() } }
}
