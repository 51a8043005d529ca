import Codecs
import Files
import GGUF
import Safetensors
import Tensors
import TestSupport
import Testing

/// Proves that files and blocks of ggml's own package are read as it reads them, and blocks made as it makes them.
@Suite struct GGUFGoldenTests {
  private func bytes(_ tensor: Tensor) -> [UInt8] { tensor.bytes.withUnsafeBytes(Array.init) }

  @Test("a file of four formats") func mixed() throws {
    let file = try GGUFFile(MappedFile(path: Goldens.path("checkpoints/mixed.gguf")))
    let expected = try SafetensorsFile(path: Goldens.path("checkpoints/mixed.safetensors"))
    #expect(Set(file.entries.map(\.format)) == [.f32, .f16, .bf16, .q8_0] && file.version == 3)
    #expect(file["general.architecture"] == .string("sd1") && file["general.file_type"] == .unsigned(7))
    for entry in file.entries {
      let tensor = file.tensor(entry), other = try #require(expected[entry.name])
      #expect(
        tensor.dtype == other.dtype && tensor.shape == other.shape && bytes(tensor) == bytes(other), "\(entry.name)")
    }
  }

  @Test("blocks of zeros, ties, tiny and huge numbers have ggml's bits") func blocks() throws {
    let file = try SafetensorsFile(path: Goldens.path("checkpoints/q8_0.safetensors"))
    let values = try #require(file["values"]).floats(), expected = bytes(try #require(file["blocks"]))
    var found = [UInt8](repeating: 0, count: values.count / 32 * 34)
    values.withUnsafeBufferPointer { values in
      found.withUnsafeMutableBytes { BlockFormat.q8_0.encode(values, into: $0) }
    }
    #expect(found == expected)
    var numbers = [Float](repeating: 0, count: values.count)
    numbers.withUnsafeMutableBufferPointer { numbers in
      found.withUnsafeBytes { BlockFormat.q8_0.decode($0, into: numbers) }
    }
    #expect(numbers == (try #require(file["numbers"])).floats())
  }

  @Test("what was read and written again is the same", arguments: [true, false]) func roundTrip(keepsAll: Bool) throws {
    let path = Goldens.path("checkpoints/mixed.gguf")
    let file = try GGUFFile(MappedFile(path: path)), folder = try TemporaryFolder()
    let layout = GGUFLayout(
      file.entries.map { .init(name: $0.name, format: $0.format, shape: $0.storedShape) }, like: file,
      keeping: { keepsAll || $0.hasPrefix("comfy.") }, texts: keepsAll ? [] : [("lathe.recipe", "0000")])
    let writer = try GGUFWriter(layout: layout, destination: folder.file("b.gguf"), overwriting: false)
    for entry in file.entries.reversed() {
      try file.storedBytes(entry).withUnsafeBytes { try writer.write($0, of: entry.name, at: 0) }
    }
    try writer.seal(texts: keepsAll ? [] : [("lathe.recipe", "1234")])
    try writer.commit()
    let copy = try GGUFFile(MappedFile(path: folder.file("b.gguf")))
    #expect(
      copy.entries.map(\.name) == file.entries.map(\.name) && copy.entries.map(\.shape) == file.entries.map(\.shape))
    for (new, old) in zip(copy.entries, file.entries) { #expect(bytes(copy.tensor(new)) == bytes(file.tensor(old))) }
    if keepsAll {
      let original = try MappedFile(path: path).bytes.withUnsafeBytes(Array.init)
      let found = try folder.bytes(of: "b.gguf")
      // The reference pads behind the last tensor too.
      #expect(found == Array(original.prefix(found.count)) && original.count - found.count < copy.alignment)
    } else {
      #expect(copy["lathe.recipe"] == .string("1234") && copy["general.name"] == nil)
    }
  }

  @Test("a part that was never written is noticed") func missingPart() throws {
    let file = try GGUFFile(MappedFile(path: Goldens.path("checkpoints/mixed.gguf"))), folder = try TemporaryFolder()
    let layout = GGUFLayout(
      file.entries.map { .init(name: $0.name, format: $0.format, shape: $0.storedShape) }, like: file,
      keeping: { _ in true }, texts: [])
    let writer = try GGUFWriter(layout: layout, destination: folder.file("b.gguf"), overwriting: false)
    for entry in file.entries.dropFirst() {
      try file.storedBytes(entry).withUnsafeBytes { try writer.write($0, of: entry.name, at: 0) }
    }
    let error = #expect(throws: FileError.self) { try writer.seal(texts: []) }
    #expect(error?.kind == .verification(part: file.entries[0].name))
  }
}
