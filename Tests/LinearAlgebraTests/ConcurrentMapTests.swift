import LinearAlgebra
import Platform
import Synchronization
import TestSupport
import Testing

/// Proves that work spread over threads gives the results, the order and the error that one thread gives, bit for bit.
@Suite struct ConcurrentMapTests {
  private struct Refusal: Error, Equatable { let index: Int }

  @Test("results stand in index order, whatever the order of work", arguments: [1, 2, 3, 8])
  func order(threads: Int) throws {
    let order = Array((0..<100).reversed())
    let results = try concurrentMap(count: 100, threads: threads, order: order, workspace: {}) { index, _ in
      index * index
    }
    let expected = (0..<100).map { $0 * $0 }
    #expect(results == expected)
  }

  @Test("work is started in the given order")
  func started() throws {
    let order = [3, 0, 2, 1]
    let seen = Mutex<[Int]>([])
    _ = try concurrentMap(count: 4, threads: 1, order: order, workspace: {}) { index, _ in
      seen.withLock { $0.append(index) }
    }
    #expect(seen.withLock { $0 } == order)
  }

  @Test("each thread makes one workspace and keeps it", arguments: [1, 2, 4])
  func workspace(threads: Int) throws {
    let made = Mutex(0)
    let turns = try concurrentMap(
      count: 50, threads: threads,
      workspace: {
        made.withLock { $0 += 1 }
        return 0
      }
    ) { _, turn -> Int in
      turn += 1
      return turn
    }
    let count = made.withLock { $0 }
    #expect((1...threads).contains(count))
    #expect(turns.filter { $0 == 1 }.count <= count)
  }

  @Test("no work gives no results")
  func nothing() throws {
    #expect(try concurrentMap(count: 0, threads: 4, workspace: {}) { index, _ in index }.isEmpty)
  }

  @Test("the error of the first failing index is thrown", arguments: [1, 4])
  func failure(threads: Int) {
    #expect(throws: Refusal(index: 3)) {
      try concurrentMap(count: 4, threads: threads, workspace: {}) { index, _ in
        if index == 3 { throw Refusal(index: index) }
      }
    }
    #expect(throws: Refusal(index: 1)) {
      try concurrentMap(count: 20, threads: 1, workspace: {}) { index, _ in
        if index % 2 == 1 { throw Refusal(index: index) }
      }
    }
  }

  @Test("work stops soon after a failure")
  func stopping() {
    let runs = Mutex(0)
    #expect(throws: Refusal.self) {
      try concurrentMap(count: 1000, threads: 1, workspace: {}) { index, _ in
        runs.withLock { $0 += 1 }
        if index == 5 { throw Refusal(index: index) }
      }
    }
    #expect(runs.withLock { $0 } == 6)
  }

  @Test("the number of threads changes no bit of a decomposition")
  func identicalBits() throws {
    func bits(threads: Int) throws -> [[UInt64]] {
      try concurrentMap(count: 24, threads: threads, workspace: {}) { index, _ in
        let product = Product(.random, rows: 60 + index, columns: 50, rank: 4 + index, seed: UInt64(index))
        let decomposition = try product.core().decomposed(weights: product.weights)
        let (up, down) = product.mapped(by: decomposition.factorMaps(rank: 3))
        return (decomposition.values + up + down).map(\.bitPattern)
      }
    }
    let alone = try bits(threads: 1)
    for threads in [2, 3, 8] { #expect(try bits(threads: threads) == alone, "\(threads) threads") }
  }

  @Test("what progress throws ends the work", arguments: [1, 3])
  func stopped(threads: Int) throws {
    let begun = Atomic(0)
    #expect(throws: Refusal(index: 5)) {
      try concurrentMap(
        count: 1000, threads: threads, progress: { if $0 == 5 { throw Refusal(index: 5) } }, workspace: {}
      ) { _, _ in
        // Other threads go on until they hear of it, which takes a while when the one that says it has no processor.
        if begun.wrappingAdd(1, ordering: .relaxed).newValue > 5 + threads { usleep(2000) }
      }
    }
    #expect(begun.load(ordering: .relaxed) < 500)
  }

  @Test("a task that is cancelled begins nothing more", arguments: [1, 3])
  func cancelled(threads: Int) async {
    let begun = Counter()
    let work = Task { () -> (any Error)? in
      withUnsafeCurrentTask { current in
        nonisolated(unsafe) let task = current
        do {
          _ = try concurrentMap(count: 1000, threads: threads, workspace: {}) { _, _ in
            begun.add(1)
            if begun.sorted.count >= 5 { task?.cancel() }
          }
          return nil
        } catch { return error }
      }
    }
    #expect(await work.value is CancellationError)
    #expect((5...5 + threads).contains(begun.sorted.count))
  }
}
