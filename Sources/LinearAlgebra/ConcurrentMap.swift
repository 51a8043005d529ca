import Dispatch
import Synchronization

/// Runs `body` for every index on up to `threads` threads and returns the results in index order.
///
/// Each thread makes one `workspace` and reuses it, so that memory is touched once and kept. Results do not depend on
/// the number of threads; there are fewer where addresses are limited. When calls throw, the error of the smallest failing index that
/// ran is rethrown. What has begun is ended before anything is thrown.
///
/// - Parameters:
///   - order: the order in which indices are started; put long work first. Ascending when `nil`.
///   - progress: called after each index with the number done so far, from any thread. What it throws ends the work.
/// - Throws: also `CancellationError`, in a task that is cancelled.
public func concurrentMap<Workspace, Result: Sendable>(
  count: Int, threads: Int, order: [Int]? = nil, progress: WorkProgress? = nil,
  workspace: @Sendable () -> Workspace,
  body: @Sendable (Int, inout Workspace) throws -> Result
) throws -> [Result] {
  precondition(order.map { $0.sorted() == Array(0..<count) } ?? true, "the order must name every index once")
  guard count > 0 else { return [] }
  let threads = try BLAS.granted(min(threads, count))
  let next = Atomic(0), done = Atomic(0), isOver = Atomic(false)
  let slots = Mutex<[Swift.Result<Result, any Error>?]>(Array(repeating: nil, count: count))
  withUnsafeCurrentTask { current in
    // Whether a task is cancelled may be asked on any thread.
    nonisolated(unsafe) let task = current
    DispatchQueue.concurrentPerform(iterations: max(1, min(threads, count))) { _ in
      var space = workspace()
      while !isOver.load(ordering: .relaxed), task?.isCancelled != true {
        let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard turn < count else { return }
        let index = order?[turn] ?? turn
        let outcome = Swift.Result {
          let result = try body(index, &space)
          try progress?(done.wrappingAdd(1, ordering: .relaxed).newValue)
          return result
        }
        if case .failure = outcome { isOver.store(true, ordering: .relaxed) }
        slots.withLock { $0[index] = outcome }
      }
    }
  }
  let outcomes = slots.withLock { $0 }
  for case .failure(let error)? in outcomes { throw error }
  return try outcomes.map { outcome in
    guard let outcome else { throw CancellationError() }
    return try outcome.get()
  }
}

/// Told how many pieces of work are done, from any thread; it may throw to end the work.
public typealias WorkProgress = @Sendable (_ done: Int) throws -> Void
