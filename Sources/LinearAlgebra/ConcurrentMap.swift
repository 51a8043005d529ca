import Dispatch
import Synchronization

/// Runs `body` for every index on up to `threads` threads and returns the results in index order.
///
/// Each thread makes one `workspace` and reuses it, so that memory is touched once and kept. Results do not depend on
/// the number of threads; there are fewer where addresses are limited. When calls throw, the error of the smallest failing index that ran is rethrown.
///
/// - Parameters:
///   - order: the order in which indices are started; put long work first. Ascending when `nil`.
///   - progress: called after each index with the number done so far, from any thread.
public func concurrentMap<Workspace, Result: Sendable>(
  count: Int, threads: Int, order: [Int]? = nil, progress: (@Sendable (Int) -> Void)? = nil,
  workspace: @Sendable () -> Workspace,
  body: @Sendable (Int, inout Workspace) throws -> Result
) throws -> [Result] {
  precondition(order.map { $0.sorted() == Array(0..<count) } ?? true, "the order must name every index once")
  guard count > 0 else { return [] }
  let threads = try BLAS.granted(min(threads, count))
  let next = Atomic(0), done = Atomic(0), failed = Atomic(false)
  let slots = Mutex<[Swift.Result<Result, any Error>?]>(Array(repeating: nil, count: count))
  DispatchQueue.concurrentPerform(iterations: max(1, min(threads, count))) { _ in
    var space = workspace()
    while !failed.load(ordering: .relaxed) {
      let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
      guard turn < count else { return }
      let index = order?[turn] ?? turn
      let outcome = Swift.Result { try body(index, &space) }
      if case .failure = outcome { failed.store(true, ordering: .relaxed) }
      slots.withLock { $0[index] = outcome }
      progress?(done.wrappingAdd(1, ordering: .relaxed).newValue)
    }
  }
  let outcomes = slots.withLock { $0 }
  for case .failure(let error)? in outcomes { throw error }
  return try outcomes.map { try $0!.get() }
}
