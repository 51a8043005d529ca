import Tensors

/// How a process is to be started so that OpenBLAS, once loaded, does not bring it to a stop.
public enum BLASThreads {
  /// Variables of the environment, and what they should be.
  ///
  /// OpenBLAS starts threads when it is loaded. Each asks for some 130 MB, for ever where a limit on addresses (`ulimit -v`)
  /// leaves less, and the process then waits for them when it ends. Lathe has threads of its own and needs none of these.
  public static var environment: [(name: String, value: String?)] {
    AddressSpace.free == nil ? [] : [("OPENBLAS_NUM_THREADS", "1")]
  }
}
