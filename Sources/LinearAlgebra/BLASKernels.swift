import CArithmetic
import COpenBLAS

/// How a process is to be started so that OpenBLAS, once loaded, uses what the processor can do.
///
/// OpenBLAS knows processors by their names. One that is newer than the library gets kernels of 2004, which take two to four times
/// as long as those for its own instructions.
public enum BLASKernels {
  /// Variables of the environment, and what they should be; none where the library has chosen well, or somebody has chosen for it.
  public static var environment: [(name: String, value: String?)] {
    #if arch(x86_64)
      guard isOutdated(core: String(cString: openblas_get_corename())) else { return [] }
      return core(hasAVX2: processor_has_avx2() != 0, hasAVX512: processor_has_avx512() != 0).map {
        [("OPENBLAS_CORETYPE", $0)]
      } ?? []
    #else
      return []
    #endif
  }

  /// Whether a kind of kernels, by OpenBLAS' name for it, is of before AVX2.
  static func isOutdated(core: String) -> Bool {
    [
      "Generic", "Katmai", "Coppermine", "Northwood", "Prescott", "Banias", "Core2", "Penryn", "Dunnington", "Atom",
      "Nehalem", "Athlon", "Opteron", "Opteron_SSE3", "Barcelona", "Bobcat", "Nano", "Sandybridge",
    ].contains(core)
  }

  /// The kind of kernels for a processor that has these instructions; `nil` where the library's choice stays.
  static func core(hasAVX2: Bool, hasAVX512: Bool) -> String? {
    hasAVX512 ? "SkylakeX" : hasAVX2 ? "Haswell" : nil
  }
}
