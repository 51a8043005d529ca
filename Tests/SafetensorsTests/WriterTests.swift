import Files
import Safetensors
import Tensors
import TestSupport
import Testing

/// Proves that written files hold what was handed over, byte for byte as the reference library would lay it out.
@Suite struct WriterTests {
  typealias Item = SafetensorsLayout.Item

  /// The same bytes as in `Goldens/safetensors/make.py`.
  private func contents(_ item: Item) -> [UInt8] {
    (0..<item.shape.elementCount * item.dtype.bits / 8).map { UInt8((7 * $0 + item.name.utf8.count) % 251) }
  }

  private func write(_ items: [Item], metadata: [(key: String, value: String)] = [], to path: String) throws {
    let writer = try SafetensorsWriter(
      layout: SafetensorsLayout(items, metadata: metadata), destination: path, overwriting: false)
    for item in items { try contents(item).withUnsafeBytes { try writer.write($0, of: item.name) } }
    try writer.seal()
    try writer.commit()
  }

  private static let canonical: [Item] = [
    Item(name: "b", dtype: .u8, shape: [3]), Item(name: "a", dtype: .u8, shape: [5]),
    Item(name: "flag", dtype: .bool, shape: [3]), Item(name: "i8", dtype: .i8, shape: [2, 2]),
    Item(name: "e5m2", dtype: .f8e5m2, shape: [7]), Item(name: "e4m3", dtype: .f8e4m3, shape: [1, 3]),
    Item(name: "i16", dtype: .i16, shape: [3]), Item(name: "u16", dtype: .u16, shape: [1]),
    Item(name: "half", dtype: .f16, shape: [3, 1]), Item(name: "brain", dtype: .bf16, shape: [5]),
    Item(name: "i32", dtype: .i32, shape: [1]), Item(name: "u32", dtype: .u32, shape: [1]),
    Item(name: "scalar", dtype: .f32, shape: []), Item(name: "none", dtype: .f32, shape: [0, 4]),
    Item(name: "f64", dtype: .f64, shape: [2]), Item(name: "i64", dtype: .i64, shape: [1]),
    Item(name: "u64", dtype: .u64, shape: [1]), Item(name: "quote \" backslash \\ slash /", dtype: .f32, shape: [1]),
    Item(name: "line\nreturn\rtab\t", dtype: .f32, shape: [1]),
    Item(name: "back\u{8}feed\u{c}one\u{1}delete\u{7f}", dtype: .f32, shape: [1]),
    Item(name: "Größe 日本 🙂", dtype: .f32, shape: [2]), Item(name: "\u{ffff}", dtype: .f32, shape: [1]),
    Item(name: "Z", dtype: .f32, shape: [1]), Item(name: "", dtype: .f32, shape: [1]),
  ]

  @Test(
    "a file equals the one that the reference library writes, whatever the order of items",
    arguments: 0..<4 as Range<UInt64>)
  func golden(seed: UInt64) throws {
    let folder = try TemporaryFolder()
    var generator = SplitMix64(seed: seed)
    let items = seed == 0 ? Self.canonical : Self.canonical.shuffled(using: &generator)
    try write(items, metadata: [("note", "all \"kinds\"\n\u{8}\u{2} of 🙂")], to: folder.file("out.safetensors"))
    let expected = Array(try Goldens.data("safetensors/canonical.safetensors"))
    #expect(try folder.bytes(of: "out.safetensors") == expected, "seed \(seed)")
  }

  @Test("the header is padded so that data begin at a multiple of eight")
  func padding() throws {
    let folder = try TemporaryFolder()
    let items = [Item(name: "x", dtype: .f16, shape: [2]), Item(name: "ab", dtype: .f32, shape: [2])]
    try write(items, to: folder.file("out.safetensors"))
    #expect(try folder.bytes(of: "out.safetensors") == Array(Goldens.data("safetensors/plain.safetensors")))
    for length in 1...9 {
      let layout = SafetensorsLayout(
        [Item(name: .init(repeating: "n", count: length), dtype: .u8, shape: [3])], metadata: [])
      #expect(layout.head().count % 8 == 0 && layout.fileCount == layout.head().count + 3)
    }
  }

  @Test("names, shapes, formats, bytes and metadata come back as they were written")
  func roundTrip() throws {
    let folder = try TemporaryFolder()
    let metadata = [("z", "last first"), ("a", "é \u{0} \u{1f} \u{7f} \\ \" 日本 🙂"), ("", "")]
    try write(Self.canonical, metadata: metadata, to: folder.file("out.safetensors"))
    let file = try SafetensorsFile(path: folder.file("out.safetensors"))
    #expect(file.entries.count == Self.canonical.count && file.warnings.isEmpty)
    for item in Self.canonical {
      let tensor = try #require(file[item.name])
      #expect(tensor.dtype == item.dtype && tensor.shape == item.shape)
      #expect(tensor.bytes.withUnsafeBytes { Array($0) } == contents(item), "\(item.name)")
    }
    #expect(file.metadata.map(\.key) == metadata.map(\.0) && file.metadata.map(\.value) == metadata.map(\.1))
  }

  @Test(
    "values of every format that can be written come back rounded once",
    arguments: [DType.f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .i8, .i16, .i32, .i64, .u8, .bool])
  func values(dtype: DType) throws {
    let folder = try TemporaryFolder()
    let values: [Double] = [0, 1, 0.3, 100.7]
    try writeAdapter(to: folder.file("out.safetensors"), tensors: [("x", [2, 2], dtype, values)])
    let tensor = try #require(try SafetensorsFile(path: folder.file("out.safetensors"))["x"])
    #expect(tensor.doubles() == Tensor(values, shape: [2, 2], dtype: dtype).doubles())
  }

  @Test("a file without tensors is a header")
  func empty() throws {
    let folder = try TemporaryFolder()
    try write([], metadata: [("k", "v")], to: folder.file("out.safetensors"))
    let file = try SafetensorsFile(path: folder.file("out.safetensors"))
    #expect(file.entries.isEmpty && file.metadata.map(\.value) == ["v"] && file.data.count == 0)
    try write([], to: folder.file("bare.safetensors"))
    #expect(try folder.bytes(of: "bare.safetensors") == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
  }

  @Test("final metadata may hold the hash of the data")
  func finalMetadata() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("out.safetensors")
    let item = Item(name: "x", dtype: .f32, shape: [5])
    let blank = String(repeating: "0", count: 64)
    let writer = try SafetensorsWriter(
      layout: SafetensorsLayout([item], metadata: [("hash", blank)]), destination: path, overwriting: false)
    try contents(item).withUnsafeBytes { try writer.write($0, of: "x") }
    try writer.seal { [("hash", ContentHash.sha256($0))] }
    #expect(try SafetensorsFile(path: writer.temporaryPath).entries.map(\.name) == ["x"])
    #expect(try !folder.names.contains("out.safetensors"))
    try writer.commit()
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata.map(\.value) == [ContentHash.sha256(file.data)])
    #expect(file.metadata[0].value != blank)
  }

  @Test("a tensor that was never written keeps the file from appearing")
  func incomplete() throws {
    let folder = try TemporaryFolder()
    let items = [Item(name: "x", dtype: .u8, shape: [3]), Item(name: "y", dtype: .u8, shape: [3])]
    do {
      let writer = try SafetensorsWriter(
        layout: SafetensorsLayout(items, metadata: []), destination: folder.file("out.safetensors"), overwriting: false)
      // The last tensor of the file, so that the file has its full length.
      try contents(items[1]).withUnsafeBytes { try writer.write($0, of: "y") }
      let error = #expect(throws: FileError.self) { try writer.seal() }
      #expect(error?.kind == .verification(part: "x"))
      #expect(error?.message == "x: the bytes on disk are not the bytes written; the output was removed")
    }
    #expect(try folder.names.isEmpty)
  }

  @Test("hashes are SHA-256 in lower-case digits")
  func hashes() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    #expect(ContentHash.sha256(Bytes(copying: Array("abc".utf8))) == abc)
    #expect(Array("abc".utf8).withUnsafeBytes { ContentHash.sha256($0) } == abc)
    #expect(ContentHash.sha256(Bytes(copying: [UInt8]())).hasPrefix("e3b0c44298fc1c14"))
  }
}
