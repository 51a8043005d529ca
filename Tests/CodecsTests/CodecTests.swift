import Testing

@testable import Codecs

@Suite struct CodecTests {
  @Test func tables() {
    #expect(CodeTable.e8m0[127] == 1 && CodeTable.e8m0[0] == 0x1p-127 && CodeTable.e8m0[255].isNaN)
  }
}
