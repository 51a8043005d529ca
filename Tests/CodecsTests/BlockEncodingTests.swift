import Checkpoints
import Safetensors
import TestSupport
import Testing

@testable import Codecs

/// Proves that blocks are made as ggml's own reference quantisers make them.
@Suite struct BlockEncodingTests {
  private func golden() throws -> (base: Checkpoint, input: [Float]) {
    let expected = try SafetensorsFile(path: Goldens.path("quantised/gguf_write.expected.safetensors"))
    return (
      try Checkpoint(path: Goldens.path("quantised/gguf_write.gguf")), expected.tensor(expected.entries[0]).floats()
    )
  }

  private func blocks(_ format: BlockFormat, _ numbers: [Float]) -> [UInt8] {
    // What was there before must not matter.
    var bytes = [UInt8](repeating: 0xa5, count: numbers.count / format.elements * format.bytes)
    numbers.withUnsafeBufferPointer { numbers in bytes.withUnsafeMutableBytes { format.encode(numbers, into: $0) } }
    return bytes
  }

  @Test("rows of normal, tiny, equal and positive numbers have ggml's bits") func bits() throws {
    let (base, input) = try golden()
    var seen: Set<BlockFormat> = []
    for weight in base.weights {
      guard let codec = weight.quantisation?.codec as? BlockCodec else { continue }
      let stored = base.storedBytes(weight).withUnsafeBytes(Array.init), count = weight.entry.shape.elementCount
      let found = blocks(codec.format, Array(input.prefix(count)))
      let size = codec.format.bytes
      let faults = (0..<stored.count / size).count {
        found[$0 * size..<($0 + 1) * size] != stored[$0 * size..<($0 + 1) * size]
      }
      #expect(found.count == stored.count && faults == 0, "\(codec.name): \(faults) of \(stored.count / size) blocks")
      seen.insert(codec.format)
    }
    #expect(seen == Set(BlockFormat.allCases.filter(\.isEncodable)))
  }

  @Test("blocks of nothing stand for nothing", arguments: BlockFormat.allCases.filter(\.isEncodable))
  func zeros(format: BlockFormat) {
    let bytes = blocks(format, [Float](repeating: 0, count: 2 * format.elements))
    let numbers = [Float](unsafeUninitializedCapacity: 2 * format.elements) { target, count in
      bytes.withUnsafeBytes {
        format.decode($0, into: UnsafeMutableBufferPointer(rebasing: target[..<(2 * format.elements)]))
      }
      count = 2 * format.elements
    }
    #expect(numbers.allSatisfy { $0 == 0 })
  }

  @Test(
    "blocks that were decoded and made again are the same for formats of one factor",
    arguments: [BlockFormat.q4_0, .q4_1, .q5_0, .q5_1, .q8_0])
  func again(format: BlockFormat) {
    var random = SplitMix64(seed: 4)
    let numbers = (0..<64 * format.elements).map { _ in Float(random.gaussian()) }
    let first = blocks(format, numbers)
    let decoded = [Float](unsafeUninitializedCapacity: numbers.count) { target, count in
      first.withUnsafeBytes { format.decode($0, into: UnsafeMutableBufferPointer(rebasing: target[..<numbers.count])) }
      count = numbers.count
    }
    #expect(blocks(format, decoded) == first)
  }
}
