import Foundation
import Kernels

/// The process that the engine runs in.
enum EngineProcess {
  /// Starts the program anew, in the same process, where its environment lets the engine's threads wait in a way that makes
  /// them many times slower beside other programs: OpenMP's runtime has read it by now and cannot be told otherwise.
  ///
  /// Nothing must have been opened or read from standard input yet. Where the system refuses, all goes on as it is.
  static func prepare() {
    #if os(Linux)
      let wrong = OpenMPWaiting.environment.filter { getenv($0.name).map { String(cString: $0) } != $0.value }
      guard !wrong.isEmpty else { return }
      for (name, value) in wrong {
        if let value { setenv(name, value, 1) } else { unsetenv(name) }
      }
      execv("/proc/self/exe", CommandLine.unsafeArgv)
    #endif
  }
}
