import Files
import Safetensors
import Tensors
import TestSupport
import Testing

/// Proves that a file may be written in pieces, in any order, with its tensors in a given order, and that the beginning
/// of a file says all about where its tensors are.
@Suite struct PieceWriteTests {
  typealias Item = SafetensorsLayout.Item

  private static let items = [
    Item(name: "z", dtype: .u8, shape: [7]), Item(name: "a", dtype: .f32, shape: [5, 3]),
    Item(name: "none", dtype: .f16, shape: [0]), Item(name: "m", dtype: .f16, shape: [9]),
  ]

  private func contents(_ item: Item) -> [UInt8] {
    (0..<item.byteCount).map { UInt8(truncatingIfNeeded: 31 * $0 + item.name.utf8.count) }
  }

  @Test("tensors stand in the given order, and pieces in any order make the whole", arguments: 0..<3 as Range<UInt64>)
  func pieces(seed: UInt64) throws {
    let folder = try TemporaryFolder(), path = folder.file("out.safetensors")
    var generator = SplitMix64(seed: seed)
    let layout = SafetensorsLayout(inOrder: Self.items, metadata: [("k", "0")])
    let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: false)
    var pieces: [(Item, Range<Int>)] = []
    for item in Self.items {
      var start = 0
      while start < item.byteCount {
        let end = min(item.byteCount, start + 1 + generator.below(11))
        pieces.append((item, start..<end))
        start = end
      }
    }
    for (item, range) in pieces.shuffled(using: &generator) {
      try contents(item)[range].withUnsafeBytes { try writer.write($0, of: item.name, at: range.lowerBound) }
    }
    try writer.seal { [("k", "\($0.count % 10)")] }
    try writer.commit()
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata.map(\.value) == ["5"])
    #expect(file.entries.map(\.name) == ["z", "a", "none", "m"], "seed \(seed)")
    #expect(file.entries.map(\.range.lowerBound) == [0, 7, 67, 67], "seed \(seed)")
    for item in Self.items {
      #expect(file[item.name]?.bytes.withUnsafeBytes(Array.init) == contents(item), "seed \(seed): \(item.name)")
    }
    let head = SafetensorsLayout(inOrder: Self.items, metadata: [("k", "5")]).head()
    #expect(try folder.bytes(of: "out.safetensors") == head + Self.items.flatMap(contents))
  }

  @Test("a piece that the disk lost is noticed, and its tensor named")
  func lostPiece() throws {
    let folder = try TemporaryFolder(), path = folder.file("out.safetensors")
    do {
      let writer = try SafetensorsWriter(
        layout: SafetensorsLayout(inOrder: Self.items, metadata: []), destination: path, overwriting: false)
      for item in Self.items {
        let bytes = contents(item), half = bytes.count / 2
        try bytes[..<half].withUnsafeBytes { try writer.write($0, of: item.name, at: 0) }
        try bytes[half...].withUnsafeBytes { try writer.write($0, of: item.name, at: half) }
      }
      // Another process scribbles over the second half of "a".
      var damaged = try folder.bytes(of: folder.names[0])
      damaged[writer.layout.head().count + 7 + 40] ^= 1
      try folder.write(damaged, to: folder.names[0])
      let error = #expect(throws: (any Error).self) { try writer.seal() }
      // Writing it anew may have made another file of the name; the bytes are then not there at all.
      #expect(
        (error as? FileError).map { "\($0)".contains("a: the bytes on disk") } == true,
        "\(String(describing: error))")
    }
    #expect(!(try folder.names.contains("out.safetensors")))
  }

  @Test("a piece that was left out or written twice keeps the file from appearing", arguments: [false, true])
  func wrongPieces(isTwice: Bool) throws {
    let folder = try TemporaryFolder(), item = Item(name: "x", dtype: .u8, shape: [9])
    do {
      let writer = try SafetensorsWriter(
        layout: SafetensorsLayout([item], metadata: []), destination: folder.file("out"), overwriting: false)
      for range in isTwice ? [0..<6, 3..<9] : [0..<3, 6..<9] {
        try contents(item)[range].withUnsafeBytes { try writer.write($0, of: "x", at: range.lowerBound) }
      }
      let error = #expect(throws: FileError.self) { try writer.seal() }
      #expect(error?.kind == .verification(part: "x"))
    }
    #expect(try folder.names.isEmpty)
  }

  @Test("the head is everything before the tensors, and tells where they are")
  func head() throws {
    let folder = try TemporaryFolder()
    // Another writer's order and spaces.
    let raw = RawSafetensors(
      header: #" { "b" :{"shape":[2], "data_offsets":[4, 8],"dtype":"F16"}, "__metadata__": {"x":"y"},"#
        + #""a":{"dtype":"F32","shape":[],"data_offsets":[0,4]} }   "#, data: [UInt8](0..<8))
    let path = try folder.write(raw.bytes, to: "in.safetensors")
    let file = try SafetensorsFile(path: path), head = try file.head
    #expect(head.withUnsafeBytes(Array.init) == Array(raw.bytes.dropLast(8)))
    let entries = try SafetensorsFile.entries(head: head, path: "somewhere")
    #expect(entries.map(\.name) == ["b", "a"] && entries.map(\.range) == [4..<8, 0..<4])
    #expect(entries.map(\.dtype) == [.f16, .f32] && entries.map(\.shape) == [[2], []])
  }

  @Test(
    "a head that promises nonsense is refused",
    arguments: [
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, #"{"a":"#, "",
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
    ])
  func badHead(header: String) {
    let bytes = Bytes(copying: RawSafetensors(header: header).bytes)
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile.entries(head: bytes, path: "somewhere") }
    #expect(error?.path == "somewhere")
  }
}
