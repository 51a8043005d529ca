import Files
import GGUF
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("gguf")
    var refused = 0
    for (name, bytes) in inputs {
      let path = try folder.write(bytes, to: "input.gguf")
      do {
        let file = try GGUFFile(MappedFile(path: path))
        for entry in file.entries { #expect(file.tensor(entry).doubles().count == entry.shape.elementCount, "\(name)") }
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }
}
