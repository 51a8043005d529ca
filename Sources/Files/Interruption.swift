import Platform
import Synchronization

/// Removes unfinished files and folders when the process is told to stop, or goes down.
///
/// Unfinished names are registered by whoever makes them. Only a program that calls `install` has its signals handled:
/// a process that uses this library keeps its own.
package enum Interruption {
  /// A registered path.
  package struct Token: @unchecked Sendable {
    // Sendable: only `forget` touches the entry, under the lock.
    fileprivate let entry: UnsafeMutablePointer<SignalTable.Entry>
  }

  // A signal handler may only touch plain memory. Changes are made under the lock and in `uninterrupted`, and the handler
  // waits until no thread is there.
  nonisolated(unsafe) private static var unfinished = SignalTable()
  nonisolated(unsafe) private static var mappings = SignalTable()
  private static let paths = Mutex<[String: Int]>([:])

  // MARK: Unfinished files

  /// Takes note of a path that goes away when the process is stopped: a file, or a folder when it is empty by then.
  package static func register(_ path: String) -> Token {
    uninterrupted {
      paths.withLock { paths in
        paths[path, default: 0] += 1
        return Token(entry: unfinished.add(path))
      }
    }
  }

  package static func forget(_ token: Token) {
    uninterrupted {
      paths.withLock { paths in
        let path = token.entry.pointee.text.map { String(cString: $0) } ?? ""
        let count = paths[path, default: 1] - 1
        paths[path] = count > 0 ? count : nil
        unfinished.remove(token.entry)
      }
    }
  }

  /// Whether a path is one of this process's unfinished files.
  static func isUnfinished(_ path: String) -> Bool { paths.withLock { $0[path] != nil } }

  // MARK: Mapped files

  /// Takes note of memory that a file is mapped to: reading it raises a signal when the file becomes shorter.
  static func registerMapping(_ path: String, _ memory: UnsafeRawBufferPointer) -> Token {
    uninterrupted {
      paths.withLock { _ in
        let start = UInt(bitPattern: memory.baseAddress)
        return Token(entry: mappings.add(shownPath(path), start: start, end: start + UInt(memory.count)))
      }
    }
  }

  static func forgetMapping(_ token: Token) {
    uninterrupted { paths.withLock { _ in mappings.remove(token.entry) } }
  }

  // MARK: Sections

  private static let sections = Atomic(0)
  private static let isStopping = Atomic(false)
  /// How deep a thread is in sections; whether it is the one that removes what is unfinished.
  private static let depthKey = threadKey(), stopperKey = threadKey()

  private static func threadKey() -> pthread_key_t {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }

  /// Runs something that the process must not be stopped in the middle of, such as several renames: signals that end it
  /// wait until it is done. It should be short, and may not read mapped files.
  package static func uninterrupted<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let depth = Int(bitPattern: pthread_getspecific(depthKey))
    pthread_setspecific(depthKey, UnsafeRawPointer(bitPattern: depth + 1))
    var mask = sigset_t(), stops = stops
    if depth == 0 {
      pthread_sigmask(SIG_BLOCK, &stops, &mask)
      sections.wrappingAdd(1, ordering: .sequentiallyConsistent)
      if isStopping.load(ordering: .sequentiallyConsistent) {
        // Another thread removes what is unfinished and ends the process.
        sections.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        while true { pause() }
      }
    }
    defer {
      pthread_setspecific(depthKey, UnsafeRawPointer(bitPattern: depth))
      if depth == 0 {
        sections.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        pthread_sigmask(SIG_SETMASK, &mask, nil)
      }
    }
    return try body()
  }

  // MARK: Signals

  /// Signals by which people, terminals and schedulers end a process, or that end one that does not handle them.
  private static let stopNumbers = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF,
  ]
  /// Faults of the program itself.
  private static let crashNumbers = [SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS]

  private static let stops: sigset_t = {
    var stops = sigset_t()
    sigemptyset(&stops)
    for number in stopNumbers { sigaddset(&stops, number) }
    return stops
  }()

  nonisolated(unsafe) private static var shownPath: @Sendable (String) -> String = { $0 }
  /// What crashes did before.
  nonisolated(unsafe) private static let earlier = UnsafeMutablePointer<sigaction>.allocate(capacity: 65)

  /// Handles the signals of this process from now on; for programs, once, before other threads are there.
  ///
  /// - Parameter shownPath: a path as a message may show it.
  package static func install(shownPath: @escaping @Sendable (String) -> String) {
    self.shownPath = shownPath
    // A handler may not be the first to touch them.
    _ = (unfinished, mappings, depthKey, stopperKey, earlier)
    _ = (isStopping.load(ordering: .relaxed), sections.load(ordering: .relaxed))
    var stops = stops
    for number in stopNumbers {
      // A caller that ignores a signal (nohup, a background job) has asked for that.
      var current = sigaction()
      sigaction(number, nil, &current)
      if isIgnored(current) {
        sigdelset(&stops, number)
        continue
      }
      handle(number) { number, _, _ in Interruption.stop(code: 128 + number) }
    }
    for number in crashNumbers {
      (earlier + Int(number)).initialize(to: sigaction())
      sigaction(number, nil, earlier + Int(number))
      handle(number) { number, information, _ in Interruption.crash(number, information) }
    }
    // Whoever calls `exit` while other threads still hold what is unfinished.
    atexit { Interruption.removeUnfinished() }
    // A write beyond the user's limit on file sizes then fails like one to a full disk.
    signal(SIGXFSZ, SIG_IGN)
    // Some launchers start programs from threads that block these signals, and the block is inherited.
    pthread_sigmask(SIG_UNBLOCK, &stops, nil)
  }

  private typealias Handler = @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

  private static func handle(_ number: Int32, _ handler: @escaping Handler) {
    var action = sigaction()
    #if canImport(Glibc)
      action.__sigaction_handler.sa_sigaction = handler
    #else
      action.__sigaction_u.__sa_sigaction = handler
    #endif
    action.sa_mask = stops
    action.sa_flags = SA_SIGINFO
    sigaction(number, &action, nil)
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    // SIG_IGN is the address 1, which Swift cannot compare as a function.
    withUnsafeBytes(of: action) { $0.load(as: UInt.self) == 1 }
  }

  /// Ends the process at once: what is unfinished goes, what was printed is written out, and threads that still work are
  /// not waited for. Exit handlers do not run.
  package static func leave(code: Int32) -> Never {
    removeUnfinished()
    fflush(nil)
    _exit(code)
  }

  private static func stop(code: Int32) {
    removeUnfinished()
    _exit(code)
  }

  /// Removes what is unfinished, and lets the crash go on as if nothing had been; but a file that became shorter is told.
  private static func crash(_ number: Int32, _ information: UnsafeMutablePointer<siginfo_t>?) {
    removeUnfinished()
    if number == SIGBUS, let information {
      #if canImport(Glibc)
        let address = UInt(bitPattern: information.pointee._sifields._sigfault.si_addr)
      #else
        let address = UInt(bitPattern: information.pointee.si_addr)
      #endif
      var isKnown = false
      mappings.forEach { mapping in
        guard !isKnown, mapping.start <= address, address < mapping.end, let path = mapping.text else { return }
        isKnown = true
        tell("lathe: error: ")
        _ = write(STDERR_FILENO, path, strlen(path))
        tell(": cannot read: the file became shorter while it was read, or its disk has a fault\n")
      }
      if isKnown { _exit(74) }
    }
    sigaction(number, earlier + Int(number), nil)
    // An instruction that fails does so again; what was sent is sent again.
    let isSent = information.map { $0.pointee.si_code <= 0 } ?? true
    if isSent || number == SIGTRAP || number == SIGSYS { raise(number) }
  }

  private static func tell(_ text: StaticString) { _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount) }

  private static func removeUnfinished() {
    if isStopping.exchange(true, ordering: .sequentiallyConsistent) {
      // Another thread is at it; or this one was, and went down.
      while pthread_getspecific(stopperKey) == nil { pause() }
      return
    }
    pthread_setspecific(stopperKey, UnsafeRawPointer(bitPattern: 1))
    // Threads that are in the middle of something short finish it. One that hangs, on a disk that is gone, is not waited for.
    for _ in 0..<3000 where sections.load(ordering: .sequentiallyConsistent) > 0 { usleep(1000) }
    unfinished.forEach { unlink($0.text!) }
    // Folders go when what is in them is gone: as often as they lie in each other.
    var isDone = false
    while !isDone {
      isDone = true
      unfinished.forEach { if rmdir($0.text!) == 0 { isDone = false } }
    }
  }
}
