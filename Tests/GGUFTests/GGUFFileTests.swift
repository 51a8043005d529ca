import Files
import GGUF
import Tensors
import TestSupport
import Testing

/// Proves that tensors and metadata are read as the format's text has them, by files put together byte by byte.
@Suite struct GGUFFileTests {
  private func open(_ raw: RawGGUF) throws -> GGUFFile {
    let folder = try TemporaryFolder()
    return try GGUFFile(MappedFile(path: folder.write(raw.bytes, to: "a.gguf")))
  }

  private func floats(_ values: [Float]) -> [UInt8] { values.flatMap { RawGGUF.little($0.bitPattern) } }

  @Test("extents stand in the opposite order, elements in the same", arguments: [2, 3] as [UInt32])
  func order(version: UInt32) throws {
    var raw = RawGGUF()
    raw.version = version
    raw.listings = [
      .init("a", [3, 2], bytes: floats([0, 1, 2, 3, 4, 5])), .init("b", [], bytes: floats([7])),
      .init("c", [0, 4], bytes: []),
    ]
    let file = try open(raw)
    #expect(file.version == version && file.alignment == 32)
    #expect(file.entries.map(\.name) == ["a", "b", "c"])
    #expect(file.entries.map(\.shape) == [[2, 3], [], [4, 0]])
    #expect(file.tensor(file.entries[0]).doubles() == [0, 1, 2, 3, 4, 5])
    #expect(file.tensor(file.entries[1]).scalar == 7)
    #expect(file.tensor(file.entries[2]).doubles() == [])
  }

  @Test("a block of Q8_0 is 32 bytes times a half")
  func blocks() throws {
    var raw = RawGGUF()
    // 0.5 as a half, and once more -2^-24, the smallest.
    let codes = (0..<32).map { UInt8(bitPattern: Int8($0 * 8 - 128)) }
    raw.listings = [.init("q", [32, 2], format: 8, bytes: [0x00, 0x38] + codes + [0x01, 0x80] + codes)]
    let file = try open(raw), entry = file.entries[0]
    let expected = codes.map { Double(Int8(bitPattern: $0)) }
    #expect(entry.format.name == "Q8_0" && entry.format.isQuantised && entry.place.count == 68)
    let tensor = file.tensor(entry)
    #expect(tensor.dtype == .f32 && tensor.shape == [2, 32])
    #expect(tensor.doubles() == expected.map { $0 / 2 } + expected.map { $0 * -0x1p-24 })
  }

  @Test("plain formats keep their bytes; the alignment of the file holds")
  func formats() throws {
    var raw = RawGGUF()
    raw.alignment = 64
    raw.fields = [("general.alignment", RawGGUF.number(64))]
    let numbers: [(UInt32, DType, Int)] = [
      (0, .f32, 4), (1, .f16, 2), (30, .bf16, 2), (24, .i8, 1), (25, .i16, 2), (26, .i32, 4), (27, .i64, 8),
      (28, .f64, 8),
    ]
    raw.listings = numbers.map { .init("t\($0.0)", [3], format: $0.0, bytes: (0..<UInt8(3 * $0.2)).map { $0 }) }
    let file = try open(raw)
    for (entry, (_, dtype, size)) in zip(file.entries, numbers) {
      let tensor = file.tensor(entry)
      #expect(tensor.dtype == dtype && entry.place.lowerBound % 64 == 0 && GGUFFormat(dtype) == entry.format)
      #expect(tensor.bytes.withUnsafeBytes(Array.init) == (0..<UInt8(3 * size)).map { $0 })
    }
  }

  @Test("metadata of every type is read or passed over")
  func metadata() throws {
    var raw = RawGGUF()
    let words = RawGGUF.little(UInt32(9)) + RawGGUF.little(UInt32(8)) + RawGGUF.little(UInt64(2))
    let nested =
      RawGGUF.little(UInt32(9)) + RawGGUF.little(UInt32(9)) + RawGGUF.little(UInt64(1)) + RawGGUF.little(UInt32(0))
      + RawGGUF.little(UInt64(3)) + [1, 2, 3]
    raw.fields = [
      ("general.architecture", RawGGUF.string("sd1")), ("general.file_type", RawGGUF.number(7)),
      ("words", words + RawGGUF.text("a") + RawGGUF.text("bc")), ("nested", nested),
      ("truth", RawGGUF.little(UInt32(7)) + [1]), ("half", RawGGUF.little(UInt32(6)) + floats([0.5])),
      ("deep", RawGGUF.little(UInt32(11)) + RawGGUF.little(Int64(-3))), ("shape", RawGGUF.integers([4, -2])),
    ]
    let file = try open(raw)
    #expect(file["general.file_type"] == .unsigned(7) && file["words"] == .otherArray && file["nested"] == .otherArray)
    #expect(file["shape"] == .integers([4, -2]) && file["none"] == nil)
    #expect(file.texts.map(\.key) == ["general.architecture", "truth", "half", "deep"])
    #expect(file.texts.map(\.value) == ["sd1", "true", "0.5", "-3"])
  }

  @Test("a tensor that was reshaped has the shape that was noted")
  func originalShape() throws {
    var raw = RawGGUF()
    raw.fields = [("comfy.gguf.orig_shape.a", RawGGUF.integers([2, 1, 2, 1, 1]))]
    raw.listings = [.init("a", [4], bytes: floats([0, 1, 2, 3]))]
    let entry = try open(raw).entries[0]
    #expect(entry.shape == [2, 1, 2, 1, 1] && entry.storedShape == [4])
  }
}
