import TestSupport
import Testing

@testable import Baking

/// Proves that the differences between stored and predicted codes bring back any codes, and that streams from strangers
/// do no harm.
@Suite struct ResidualTests {
  private func check<Code: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ stored: [Code], _ predicted: [Code], cut: Int, _ note: String = ""
  ) {
    let width = Code.bitWidth / 8
    var encoder = ResidualEncoder()
    for start in stride(from: 0, to: stored.count, by: cut) {
      let range = start..<min(start + cut, stored.count)
      stored[range].withUnsafeBytes { a in
        predicted[range].withUnsafeBytes { b in
          encoder.append(a.baseAddress!, predicted: b.baseAddress!, count: range.count, width: width)
        }
      }
    }
    #expect(encoder.count == zip(stored, predicted).count { $0 != $1 }, "\(note)")
    var decoder = ResidualDecoder(gaps: encoder.gaps, values: encoder.values), codes = predicted
    // Other cuts than the encoder's.
    for start in stride(from: 0, to: stored.count, by: cut + 3) {
      let count = min(cut + 3, stored.count - start)
      codes.withUnsafeMutableBytes { decoder.correct($0.baseAddress! + start * width, count: count, width: width) }
    }
    #expect(codes == stored, "\(note)")
  }

  private func check<Code: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(_ type: Code.Type) {
    let top = Code(1) << (Code.bitWidth - 1)
    // −0, +0, the largest, NaN codes of both signs.
    let extremes: [Code] = [0, top, 1, top | 1, top - 1, .max, top - 2, .max - 1, top >> 1]
    let pairs = extremes.flatMap { a in extremes.map { (a, $0) } }
    check(pairs.map(\.0), pairs.map(\.1), cut: 7)
    for seed in 0..<6 as Range<UInt64> {
      var generator = SplitMix64(seed: seed)
      let share = [0, 1, 5, 50, 99, 100][Int(seed)]
      let predicted = (0..<2000).map { _ in Code(truncatingIfNeeded: generator.next()) }
      let stored = predicted.map { generator.below(100) < share ? Code(truncatingIfNeeded: generator.next()) : $0 }
      check(stored, predicted, cut: 1 + generator.below(500), "seed \(seed)")
    }
  }

  @Test("8 bits") func eight() { check(UInt8.self) }
  @Test("16 bits") func sixteen() { check(UInt16.self) }
  @Test("32 bits") func thirtyTwo() { check(UInt32.self) }

  @Test("neighbouring numbers differ by one, across zero too")
  func neighbours() {
    var encoder = ResidualEncoder()
    // −0 to +0, and 1.0 to the next.
    let stored: [UInt16] = [0, 0x3c01], predicted: [UInt16] = [0x8000, 0x3c00]
    encoder.append(stored, predicted: predicted, count: 2, width: 2)
    #expect(encoder.gaps == [0, 0] && encoder.values == [2, 2])
  }

  @Test("streams from strangers do not crash, and touch nothing outside", arguments: 0..<20 as Range<UInt64>)
  func hostile(seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    for _ in 0..<500 {
      func stream() -> [UInt8] {
        (0..<generator.below(30)).map { _ in
          [0, 0x7f, 0x80, 0xff, UInt8(generator.below(256))][generator.below(5)]
        }
      }
      var decoder = ResidualDecoder(gaps: stream(), values: stream())
      var codes = [UInt8](repeating: 0x55, count: 64)
      let width = [1, 2, 4][generator.below(3)]
      codes.withUnsafeMutableBytes { memory in
        for start in stride(from: 16, to: 48, by: 8) {
          decoder.correct(memory.baseAddress! + start, count: 8 / width, width: width)
        }
      }
      #expect(codes[..<16].allSatisfy { $0 == 0x55 } && codes[48...].allSatisfy { $0 == 0x55 }, "seed \(seed)")
    }
  }
}
