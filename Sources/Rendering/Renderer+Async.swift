import Foundation
import Synchronization

extension Renderer {
  /// Renders the pictures without holding up the caller's executor.
  ///
  /// A task that is cancelled ends after the step that it is at.
  ///
  /// - Parameter progress: called on a thread of the work.
  /// - Throws: `CancellationError`, and what the other `render` throws.
  public func render(
    _ requests: [RenderRequest], progress: @escaping @Sendable (Progress) throws -> Void = { _ in }
  ) async throws -> Result {
    let cancellation = Cancellation()
    // What copies of a renderer share is touched on `KernelThread` alone.
    nonisolated(unsafe) let renderer = self
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
          continuation.resume(
            with: Swift.Result {
              try renderer.render(requests) { step in
                try cancellation.check()
                try progress(step)
              }
            })
        }
      }
    } onCancel: {
      cancellation.request()
    }
  }
}

/// Whether a task was cancelled, for the thread that works for it.
private final class Cancellation: Sendable {
  private let isRequested = Atomic(false)

  func request() { isRequested.store(true, ordering: .relaxed) }
  func check() throws { if isRequested.load(ordering: .relaxed) { throw CancellationError() } }
}
