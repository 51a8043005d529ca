import Files
import GGUF
import TestSupport
import Testing

/// Proves that headers which claim the impossible are refused in one line, before memory is taken.
@Suite struct HostileGGUFTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The refusal after the file's name, or "accepted".
  private func refusal(_ bytes: [UInt8]) throws -> String {
    let path = try folder.write(bytes, to: "a.gguf")
    do {
      let file = try GGUFFile(MappedFile(path: path))
      for entry in file.entries { _ = file.tensor(entry).bytes.count }
      return "accepted"
    } catch let error as GGUFError {
      return String(error.description.dropFirst(path.count + 2))
    }
  }

  private func refusal(_ change: (inout RawGGUF) -> Void) throws -> String {
    var raw = RawGGUF()
    raw.fields = [("general.architecture", RawGGUF.string("sd1"))]
    raw.listings = [
      .init("a", [8], bytes: .init(repeating: 0, count: 32)), .init("b", [8], bytes: .init(repeating: 1, count: 32)),
    ]
    change(&raw)
    return try refusal(raw.bytes)
  }

  @Test("the file that the others are made from is accepted") func plain() throws {
    #expect(try refusal { _ in } == "accepted")
  }

  @Test("other versions and the other byte order") func versions() throws {
    #expect(
      try refusal { $0.version = 1 }
        == "version: expected GGUF 2 or 3, found 1; hint: convert it with a newer program")
    #expect(try refusal { $0.version = 4 }.hasPrefix("version: expected GGUF 2 or 3, found 4"))
    #expect(
      try refusal { $0.version = UInt32(3).byteSwapped }
        == "version: expected little-endian numbers, found big-endian ones")
  }

  @Test("counts that the file has no room for") func counts() throws {
    #expect(try refusal { $0.tensorCount = .max }.hasPrefix("header: tensors: expected at most "))
    #expect(try refusal { $0.fieldCount = 1 << 62 }.hasPrefix("header: metadata entries: expected at most "))
    #expect(try refusal { $0.fieldCount = 2 }.hasPrefix("header: "))
    #expect(try refusal { $0.tensorCount = 3 } != "accepted")
    let long = RawGGUF.little(UInt32(9)) + RawGGUF.little(UInt32(10)) + RawGGUF.little(UInt64(1) << 60)
    #expect(try refusal { $0.fields = [("x", long)] }.hasPrefix("header: elements of an array: expected at most "))
    let text = RawGGUF.little(UInt32(8)) + RawGGUF.little(UInt64.max)
    #expect(try refusal { $0.fields = [("x", text)] }.hasPrefix("header: a text: expected at most "))
  }

  @Test("arrays in arrays without end") func depth() throws {
    let level = RawGGUF.little(UInt32(9)) + RawGGUF.little(UInt64(1))
    let value = RawGGUF.little(UInt32(9)) + (0..<100_000).flatMap { _ in level }
    #expect(
      try refusal { $0.fields = [("x", value)] }.hasPrefix("header: expected at most 4 arrays in each other at byte "))
  }

  @Test("types and formats that there are not, or that are not read") func formats() throws {
    #expect(
      try refusal { $0.fields = [("x", RawGGUF.little(UInt32(13)))] }.hasPrefix("header: expected a type of 0 to 12"))
    #expect(
      try refusal { $0.listings[0].format = 18 }
        == "a: format: expected one that is read, such as F16, Q8_0 or Q4_K, found IQ3_XXS; hint: use the F16, Q8_0 or "
        + "Q4_K file of the model, or its safetensors")
    #expect(try refusal { $0.listings[0].format = 4_000_000_000 }.contains("found the unknown number 4000000000"))
    #expect(
      try refusal { $0.listings[0].format = 8 } == "a: shape: expected rows of whole blocks of 32, found 8")
  }

  @Test("shapes that are too large") func shapes() throws {
    #expect(
      try refusal { $0.listings[0].extents = [1 << 40, 1 << 40] } == "a: shape: the number of elements is too large")
    #expect(
      try refusal { $0.listings[0].extents = [1, 1, 1, 1, 8] } == "a: shape: expected at most 4 extents, found 5")
    #expect(try refusal { $0.listings[0].extents = [.max] } == "a: shape: expected an extent, found \(UInt64.max)")
    #expect(try refusal { $0.listings[0].extents = [1 << 40] }.hasPrefix("a: data: expected its end at byte "))
    for format in GGUFFormat.allCases {
      for power in 50...63 as ClosedRange<UInt64> {
        let found = try refusal { ($0.listings[0].format, $0.listings[0].extents) = (format.rawValue, [1 << power]) }
        #expect(found.hasPrefix("a: "), "\(format.name), 2^\(power)")
      }
    }
  }

  @Test("places outside of the file, between, and upon each other") func places() throws {
    #expect(try refusal { $0.listings[1].offset = 1 << 63 }.hasPrefix("b: data: expected its end at byte "))
    #expect(try refusal { $0.listings[1].offset = .max - 31 }.hasPrefix("b: data: expected its end at byte "))
    #expect(try refusal { $0.listings[1].offset = 64 }.hasPrefix("b: data: expected its end at byte "))
    #expect(
      try refusal { $0.listings[1].offset = 33 } == "b: data: expected a place that is a multiple of 32, found 33")
    #expect(try refusal { $0.listings[1].offset = 0 }.hasSuffix("data: overlaps with a"))
    #expect(try refusal { $0.listings[1].name = "a" } == "a: expected one tensor, found two with this name")
    #expect(
      try refusal { $0.fields.append($0.fields[0]) }
        == "general.architecture: expected one entry, found two of this name")
    for value in [0, 3, 1 << 30] as [UInt32] {
      #expect(
        try refusal { $0.fields = [("general.alignment", RawGGUF.number(value))] }
          == "general.alignment: expected a power of two up to 1048576, found \(value)")
    }
    #expect(
      try refusal { $0.fields = [("comfy.gguf.orig_shape.a", RawGGUF.integers([-8, -1]))] }
        == "comfy.gguf.orig_shape.a: expected a shape of 8 elements, found another")
  }

  @Test("a truncated file is refused wherever it ends") func truncated() throws {
    let bytes = try MappedFile(path: Goldens.path("checkpoints/mixed.gguf")).bytes.withUnsafeBytes(Array.init)
    for count in Array(stride(from: 4, to: 1200, by: 7)) + Array(stride(from: 1200, to: bytes.count - 64, by: 517)) {
      let found = try refusal(Array(bytes.prefix(count)))
      #expect(found != "accepted" && !found.contains("\n"), "\(count) bytes")
    }
  }

  @Test("damage is read or refused, without a crash", arguments: 0..<4 as Range<UInt64>) func damaged(seed: UInt64)
    throws
  {
    let bytes = try MappedFile(path: Goldens.path("checkpoints/mixed.gguf")).bytes.withUnsafeBytes(Array.init)
    var generator = SplitMix64(seed: seed), refused = 0
    for _ in 0..<400 {
      var mutant = bytes
      for _ in 0...generator.below(3) { mutant[4 + generator.below(1000)] = UInt8(generator.below(256)) }
      let found = try refusal(mutant)
      if found != "accepted" { refused += 1 }
      #expect(!found.contains("\n"), "seed \(seed)")
    }
    #expect(refused > 50, "seed \(seed)")
  }
}
