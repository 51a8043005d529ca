import Safetensors
import Tensors
import TestSupport
import Testing

/// Proves that a damaged file is either refused with an error or read within its bounds, never anything worse.
@Suite struct MutationTests {
  private static let original: [UInt8] = RawSafetensors(
    header: #"{"__metadata__":{"note":"a\u00e9\n","x":"y"},"up":{"dtype":"F16","shape":[4,2],"data_offsets":[0,16]},"#
      + #""down":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]},"#
      + #""alpha":{"dtype":"BF16","shape":[],"data_offsets":[40,42]}}"#,
    data: (0..<42).map { UInt8(128 + $0) }
  ).bytes

  @Test("ten thousand seeded mutations are refused or read, without a crash", arguments: 0..<10 as Range<UInt64>)
  func mutations(seed: UInt64) throws {
    let folder = try TemporaryFolder()
    var generator = SplitMix64(seed: seed)
    var accepted = 0
    for _ in 0..<1000 {
      let path = try folder.write(mutated(&generator), to: "mutant.safetensors")
      do {
        let file = try SafetensorsFile(path: path)
        accepted += 1
        for entry in file.entries {
          let tensor = file.tensor(entry)
          if tensor.dtype.isReadable { #expect(tensor.doubles().count == tensor.elementCount, "seed \(seed)") }
        }
      } catch let error as SafetensorsError { #expect(error.description.hasPrefix("\(path): "), "seed \(seed)") }
    }
    // Otherwise this test would only try the first check.
    #expect((10..<900).contains(accepted), "seed \(seed): \(accepted) accepted")
  }

  private func mutated(_ generator: inout SplitMix64) -> [UInt8] {
    var bytes = Self.original
    for _ in 0...generator.below(3) {
      guard !bytes.isEmpty else { break }
      let place = generator.below(bytes.count)
      switch generator.below(7) {
      case 0: bytes[place] ^= 1 << generator.below(8)
      case 1: bytes[place] = UInt8(generator.below(256))
      case 2: bytes.remove(at: place)
      case 3: bytes.insert(UInt8(generator.below(128)), at: place)
      case 4: bytes.removeLast(generator.below(min(bytes.count, 50)))
      case 5: bytes.insert(contentsOf: bytes[place..<min(place + generator.below(40), bytes.count)], at: place)
      default:
        // Digits are where the arithmetic is.
        let digits = bytes.indices.filter { $0 >= 8 && (0x30...0x39).contains(bytes[$0]) }
        guard let digit = digits.randomElement(using: &generator) else { break }
        let numbers = ["9223372036854775807", "18446744073709551616", "-1", "0", "4294967296", "1e9", "00", "7"]
        bytes.replaceSubrange(digit...digit, with: numbers.randomElement(using: &generator)!.utf8)
      }
    }
    // Half of the time the length field fits the text again, so that the parser sees it.
    if generator.below(2) == 0, let end = bytes.indices.dropFirst(8).last(where: { bytes[$0] == 0x7d }) {
      let length = UInt64(end - 7)
      for i in 0..<8 { bytes[i] = UInt8(truncatingIfNeeded: length >> (8 * UInt64(i))) }
    }
    return bytes
  }
}
