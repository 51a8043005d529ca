import Foundation
import Synchronization

/// A value that is computed on a thread of its own while the caller goes on. The pool that concurrent work runs on has no
/// more threads than cores, and would start it last.
package final class InBackground<Value: Sendable>: Sendable {
  private let outcome = Mutex<Result<Value, any Error>?>(nil)
  private let done = DispatchGroup()

  package init(_ compute: @escaping @Sendable () throws -> Value) {
    done.enter()
    Thread.detachNewThread {
      let result = Result { try compute() }
      self.outcome.withLock { $0 = result }
      self.done.leave()
    }
  }

  /// Waits until the computation has ended, one way or the other.
  package func wait() { done.wait() }

  /// Waits for the computation and returns its value or rethrows its error.
  package func value() throws -> Value {
    done.wait()
    return try outcome.withLock { $0! }.get()
  }
}
