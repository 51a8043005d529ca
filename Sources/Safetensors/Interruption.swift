import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Removes unfinished files and folders when the process is told to stop (Ctrl-C, `kill`, a closed terminal).
package enum Interruption {
  private static let slotCount = 4096
  /// Paths of files and folders in the making, as C strings, folders before what is in them. A signal handler may only touch plain memory, hence no array or lock.
  nonisolated(unsafe) private static let slots: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = {
    let slots = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: slotCount)
    slots.initialize(repeating: nil, count: slotCount)
    return slots
  }()
  private static let lock = Mutex(())

  private static let installed: Void = {
    _ = slots
    var stops = sigset_t()
    sigemptyset(&stops)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      // A caller that ignores a signal (nohup, a background job) has asked for that.
      var current = sigaction()
      sigaction(number, nil, &current)
      if isIgnored(current) { continue }
      signal(number) { number in
        for i in stride(from: Interruption.slotCount - 1, through: 0, by: -1) {
          if let path = Interruption.slots[i], unlink(path) != 0 { rmdir(path) }
        }
        _exit(128 + number)
      }
      sigaddset(&stops, number)
    }
    // A write beyond the user's limit on file sizes then fails like one to a full disk.
    signal(SIGXFSZ, SIG_IGN)
    // Some launchers start programs from threads that block these signals, and the block is inherited.
    pthread_sigmask(SIG_UNBLOCK, &stops, nil)
  }()

  private static func isIgnored(_ action: sigaction) -> Bool {
    // SIG_IGN is the address 1, which Swift cannot compare as a function.
    withUnsafeBytes(of: action) { $0.load(as: UInt.self) == 1 }
  }

  /// - Returns: a token for `forget`.
  package static func register(_ path: String) -> Int {
    _ = installed
    return lock.withLock { _ in
      guard let free = (0..<slotCount).first(where: { slots[$0] == nil }) else { return -1 }
      slots[free] = strdup(path)
      return free
    }
  }

  package static func forget(_ token: Int) {
    guard token >= 0 else { return }
    lock.withLock { _ in
      let path = slots[token]
      slots[token] = nil
      free(path)
    }
  }
}
