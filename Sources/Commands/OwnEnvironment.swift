import Foundation
import Kernels
import LinearAlgebra

/// The environment that this program's libraries read when they are loaded, before its first line runs.
enum OwnEnvironment {
  /// What every command needs.
  static func prepare() { restart(with: BLASThreads.environment) }

  /// What a command needs that multiplies matrices, or runs networks.
  ///
  /// Nothing must have been opened or read from standard input yet.
  static func prepare(multiplies: Bool, usesEngine: Bool) {
    // What the user has chosen stays.
    let kernels = BLASKernels.environment.filter { getenv($0.name) == nil }
    restart(with: (multiplies ? kernels : []) + (usesEngine ? OpenMPWaiting.environment : []))
  }

  /// Starts the program anew, in the same process, where variables are not as they should be: the libraries have read them by
  /// now and cannot be told otherwise. Where the system refuses, all goes on as it is.
  private static func restart(with environment: [(name: String, value: String?)]) {
    #if os(Linux)
      let wrong = environment.filter { getenv($0.name).map { String(cString: $0) } != $0.value }
      guard !wrong.isEmpty else { return }
      for (name, value) in wrong {
        if let value { setenv(name, value, 1) } else { unsetenv(name) }
      }
      execv("/proc/self/exe", CommandLine.unsafeArgv)
    #endif
  }
}
