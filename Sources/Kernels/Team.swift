import CKernels
import Foundation

/// The threads that kernels run on: OpenMP's, which oneDNN uses too.
struct Team: Sendable {
  /// Those that there really are, which may be fewer than were asked for.
  let threads: Int

  init(threads: Int) {
    self.threads = KernelThread.run { Int(kernels_granted_threads(Int32(clamping: threads))) }
  }

  /// Calls `body(item, thread)` for each item of `0..<count`; which thread does which item is left to chance.
  func run(_ count: Int, _ body: (_ item: Int, _ thread: Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      var work = body
      withUnsafeMutablePointer(to: &work) { context in
        kernels_run(
          Int32(threads), count,
          { context, item, thread in
            context!.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(item, Int(thread))
          }, context)
      }
    }
  }

  /// Calls `body` for parts of `0..<rows` with about `part` rows each. Parts do not depend on the number of threads.
  func split(_ rows: Int, by part: Int, _ body: (Range<Int>) -> Void) {
    run((rows + part - 1) / part) { item, _ in body(item * part..<min((item + 1) * part, rows)) }
  }
}

/// The one thread from which kernels are started. Each thread that starts OpenMP work gets helpers of its own, so work
/// from several would crowd the processor.
///
/// - Note: OpenMP's threads stay awake for up to 300,000 turns of a loop while they wait for each other, which is many times
///   slower than one thread where other programs want the processors, or a container has a part of their time. OpenMP's
///   runtime asks the environment when it is loaded, and never again: start the process with what `OpenMPWaiting` says.
public enum KernelThread {
  /// Runs `body` on that thread and waits for it.
  public static func run<Result>(_ body: () throws -> Result) rethrows -> Result {
    if Thread.current === worker.thread { return try body() }
    return try withoutActuallyEscaping(body) { body in
      let errand = Errand(body)
      worker.perform { errand.run() }
      return try errand.result!.get()
    }
  }

  private static let worker = Worker()

  private final class Errand<Result>: @unchecked Sendable {
    // Sendable: the caller waits while the worker uses it.
    private let body: () throws -> Result
    private(set) var result: Swift.Result<Result, any Error>?

    init(_ body: @escaping () throws -> Result) { self.body = body }
    func run() { result = Swift.Result { try body() } }
  }

  private final class Worker: @unchecked Sendable {
    // Sendable: `task` is written by whoever holds the lock, and read between the two signals.
    private let lock = NSLock(), start = DispatchSemaphore(value: 0), end = DispatchSemaphore(value: 0)
    private var task: (@Sendable () -> Void)?
    private(set) var thread: Thread!

    init() {
      thread = Thread { [self] in
        while true {
          start.wait()
          task?()
          end.signal()
        }
      }
      thread.stackSize = 16 << 20
      thread.start()
    }

    func perform(_ task: @escaping @Sendable () -> Void) {
      lock.withLock {
        self.task = task
        start.signal()
        end.wait()
        self.task = nil
      }
    }
  }
}
