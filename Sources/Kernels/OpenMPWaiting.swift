/// How a process is to be started so that its kernels run well beside other programs.
///
/// Kernels are short, and their threads meet after each. A thread that waits awake takes its processor from the very thread
/// that it waits for wherever processors are shared; one that sleeps at once is woken too late where they are not. So waiting
/// is awake for some 20 to 50 microseconds, about the length of a kernel, and asleep after that.
public enum OpenMPWaiting {
  /// Variables of the environment, and what they should be; `nil` stands for a variable that should not be there.
  ///
  /// The runtime reads them before the first line of a program runs, so a program that finds others must start itself anew.
  public static let environment: [(name: String, value: String?)] = [
    ("GOMP_SPINCOUNT", "1000"),
    // A stack too small for the kernels would end the process.
    ("OMP_STACKSIZE", nil), ("GOMP_STACKSIZE", nil),
  ]
}
