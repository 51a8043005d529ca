import Kernels

/// Kernels of two precisions over the same memory; those of the plainest kind where the processor has no better.
struct Backends {
  /// Of the denoiser.
  let main: any Backend
  /// Always f32.
  let exact: any Backend
  let pool: any MemoryPool

  init(precision: Precision, threads: Int) {
    if NativeBackend.precisions.isEmpty {
      let reference = ReferenceBackend()
      (main, exact, pool) = (reference, reference, reference.pool)
      return
    }
    let exact = NativeBackend(precision: .f32, threads: threads)
    self.exact = exact
    pool = exact.pool
    main = precision == .f32 ? exact : NativeBackend(precision: precision, threads: threads, pool: exact.hostPool)
  }
}
