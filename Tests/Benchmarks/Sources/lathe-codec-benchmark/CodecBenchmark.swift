import Codecs
import Foundation
import Tensors

/// Measures how fast stored formats become numbers on one core, beside a copy of as many bytes.
///
/// Weights are 4096 × 4096, decoded in tiles of 64 rows into memory that stays in the cache, as a bake and the engine do. Each format
/// is checked first: what its own encoder stores is near what went in. Formats without one have random codes, checked against their
/// definition.
@main enum CodecBenchmark {
  static let rows = 4096, columns = 4096, tile = 64, runs = 9

  static func main() throws {
    var noise = SystemRandomNumberGenerator()
    let numbers = (0..<rows * columns).map { _ in Float.random(in: -0.1...0.1, using: &noise) }
    let room = UnsafeMutableBufferPointer<Float>.allocate(capacity: tile * columns)
    defer { room.deallocate() }
    let copy = best {
      numbers.withUnsafeBufferPointer { source in
        for start in stride(from: 0, to: rows * columns, by: room.count) {
          _ = room.update(fromContentsOf: source[start..<start + room.count])
        }
      }
    }
    print("copy of the numbers          \(rate(copy))")
    for codec in try blocks(of: numbers) + grids(of: numbers) {
      let seconds = best {
        for start in stride(from: 0, to: rows, by: tile) { codec.decode(rows: start..<start + tile, into: room) }
      }
      print(
        "\(codec.name.padding(toLength: 28, withPad: " ", startingAt: 0)) \(rate(seconds))   \(ratio(copy / seconds)) of the copy"
      )
    }
  }

  /// The fastest of several runs, in seconds.
  private static func best(_ body: () -> Void) -> Double {
    (0..<runs).map { _ in
      let start = ContinuousClock.now
      body()
      return (ContinuousClock.now - start) / .seconds(1)
    }.min()!
  }

  private static func rate(_ seconds: Double) -> String {
    String(format: "%6.2f GB/s", Double(4 * rows * columns) / seconds / 1e9)
  }

  private static func ratio(_ value: Double) -> String { String(format: "%.2f", value) }

  /// Blocks of ggml, made by their own quantisers.
  private static func blocks(of numbers: [Float]) throws -> [any WeightCodec] {
    try BlockFormat.allCases.filter(\.isEncodable).map { format in
      var bytes = [UInt8](repeating: 0, count: numbers.count / format.elements * format.bytes)
      numbers.withUnsafeBufferPointer { source in bytes.withUnsafeMutableBytes { format.encode(source, into: $0) } }
      let codec = BlockCodec(format, rows: rows, columns: columns, bytes: Bytes(copying: bytes))
      try check(codec, numbers, steps: 5)
      return codec
    }
  }

  /// Formats of safetensors.
  private static func grids(of numbers: [Float]) throws -> [any WeightCodec] {
    let count = rows * columns, largest: Float = 0.1
    func scale(_ value: Float, _ part: String, count: Int = 1) throws -> StepNumbers {
      try StepNumbers(Tensor([Double](repeating: Double(value), count: count), shape: [count], dtype: .f32), part: part)
    }
    let whole = GridCodec.Arrangement.blocks(height: rows, width: columns, perRow: 1)
    let scaled = numbers.map { Double($0 * 448 / largest) }
    let fp8 = Tensor(scaled, shape: [rows, columns], dtype: .f8e4m3)
    let integers = numbers.map { UInt8(bitPattern: Int8(($0 * 127 / largest).rounded())) }
    let nibbles = numbers.indices.filter { $0 % 2 == 0 }.map { i -> UInt8 in
      func code(_ value: Float) -> UInt8 { UInt8(min(15, max(0, (value * 8 / largest + 8).rounded()))) }
      return code(numbers[i]) | code(numbers[i + 1]) << 4
    }
    let result: [any WeightCodec] = [
      try GridCodec(
        "fp8, one scale", rows: rows, columns: columns, codes: .bytes(CodeTable.e4m3), bytes: fp8.bytes,
        arrangement: whole, steps: try scale(largest / 448, "weight_scale")),
      try GridCodec(
        "int8, scales of rows", rows: rows, columns: columns, codes: .integers, bytes: Bytes(copying: integers),
        arrangement: .blocks(height: 1, width: columns, perRow: 1),
        steps: try scale(largest / 127, "weight_scale", count: rows)),
      try GridCodec(
        "four bits, blocks of 64", rows: rows, columns: columns,
        codes: .nibbles(CodeTable.nibbles(excess: 8), evenIsHigh: false), bytes: Bytes(copying: nibbles),
        arrangement: .flat(length: 64), steps: try scale(largest / 8, "absmax", count: count / 64)),
      try GridCodec(
        "four bits, blocks of 16", rows: rows, columns: columns,
        codes: .nibbles(CodeTable.nibbles(excess: 8), evenIsHigh: true),
        bytes: Bytes(copying: nibbles.map { $0 << 4 | $0 >> 4 }),
        arrangement: .blocks(height: 1, width: 16, perRow: columns / 16),
        steps: try scale(largest / 8, "weight_scale", count: count / 16)),
    ]
    for codec in result { try check(codec, numbers, steps: 5) }
    let rotated = try RotatedCodec(result[1], group: 256)
    return result + [rotated]
  }

  /// - Parameter steps: how many a format has from 0 to the largest number, at least.
  private static func check(_ codec: any WeightCodec, _ numbers: [Float], steps: Float) throws {
    let decoded = codec.tensor(shape: [rows, columns]).floats()
    let worst = zip(decoded, numbers).map { ($0 - $1).magnitude }.max()!
    guard worst <= 0.1 / (codec.bitsPerWeight < 4 ? 1 : steps) else {
      throw Failure(description: "\(codec.name): off by \(worst)")
    }
  }

  struct Failure: Error, CustomStringConvertible { let description: String }
}
