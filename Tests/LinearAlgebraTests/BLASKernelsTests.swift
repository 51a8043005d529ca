import Testing

@testable import LinearAlgebra

/// Proves which kernels a process asks OpenBLAS for.
@Suite struct BLASKernelsTests {
  @Test("A processor that the library does not know gets the kernels that it has instructions for")
  func choice() {
    #expect(BLASKernels.isOutdated(core: "Prescott") && BLASKernels.isOutdated(core: "Sandybridge"))
    for core in ["Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids", "neoversen1"] {
      #expect(!BLASKernels.isOutdated(core: core))
    }
    #expect(BLASKernels.core(hasAVX2: true, hasAVX512: true) == "SkylakeX")
    #expect(BLASKernels.core(hasAVX2: true, hasAVX512: false) == "Haswell")
    #expect(BLASKernels.core(hasAVX2: false, hasAVX512: false) == nil)
  }
}
