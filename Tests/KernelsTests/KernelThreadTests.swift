import Foundation
import Kernels
import Synchronization
import Testing

@testable import Kernels

@Suite struct KernelThreadTests {
  struct Failure: Error, Equatable { let number: Int }

  @Test("gives back results and errors")
  func results() {
    #expect(KernelThread.run { 6 * 7 } == 42)
    #expect(throws: Failure(number: 3)) { try KernelThread.run { throw Failure(number: 3) } }
    // And works on afterwards.
    #expect(KernelThread.run { "again" } == "again")
  }

  @Test("calls within calls run at once")
  func nested() {
    let numbers = KernelThread.run { [1, KernelThread.run { KernelThread.run { 2 } }, 3] }
    #expect(numbers == [1, 2, 3])
    #expect(throws: Failure(number: 4)) {
      try KernelThread.run { try KernelThread.run { throw Failure(number: 4) } }
    }
  }

  @Test("all work is done by one thread, one piece at a time, whoever asks")
  func oneAtATime() {
    let running = Atomic(0), threads = Mutex<Set<ObjectIdentifier>>([]), results = Mutex<[Int: Int]>([:])
    DispatchQueue.concurrentPerform(iterations: 8) { caller in
      for i in 0..<50 {
        let number = caller * 50 + i
        let result = KernelThread.run {
          #expect(running.add(1, ordering: .sequentiallyConsistent).oldValue == 0)
          threads.withLock { _ = $0.insert(ObjectIdentifier(Thread.current)) }
          running.subtract(1, ordering: .sequentiallyConsistent)
          return number * number
        }
        results.withLock { $0[number] = result }
      }
    }
    #expect(threads.withLock { $0.count } == 1)
    #expect(results.withLock { $0 } == Dictionary(uniqueKeysWithValues: (0..<400).map { ($0, $0 * $0) }))
  }

  @Test("a team does each item once, with threads of its size", arguments: [1, 2, 3, 5])
  func team(_ size: Int) {
    KernelThread.run {
      for count in [0, 1, 2, 7, 1000] {
        let times = (0..<count).map { _ in Counted() }
        Team(threads: size).run(count) { item, thread in
          times[item].value.add(1, ordering: .relaxed)
          if !(0..<size ~= thread) { times[item].value.add(1000, ordering: .relaxed) }
        }
        #expect(times.allSatisfy { $0.value.load(ordering: .relaxed) == 1 }, "\(count) items")
      }
      let rows = Mutex<[Range<Int>]>([])
      Team(threads: size).split(23, by: 5) { range in rows.withLock { $0.append(range) } }
      #expect(
        rows.withLock { $0.sorted { $0.lowerBound < $1.lowerBound } } == [0..<5, 5..<10, 10..<15, 15..<20, 20..<23])
    }
  }

  private final class Counted: Sendable { let value = Atomic(0) }
}
