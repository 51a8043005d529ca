import Dispatch
import Synchronization

/// A value that is computed on another thread while the caller goes on.
package final class InBackground<Value: Sendable>: Sendable {
  private let outcome = Mutex<Result<Value, any Error>?>(nil)
  private let group = DispatchGroup()

  package init(_ compute: @escaping @Sendable () throws -> Value) {
    DispatchQueue.global().async(group: group) {
      let result = Result { try compute() }
      self.outcome.withLock { $0 = result }
    }
  }

  /// Waits for the computation and returns its value or rethrows its error.
  package func value() throws -> Value {
    group.wait()
    return try outcome.withLock { $0! }.get()
  }
}
