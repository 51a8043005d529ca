import Safetensors
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("safetensors")
    var refused = 0
    for (name, bytes) in inputs {
      let path = try folder.write(FuzzInput.safetensors(bytes), to: "input.safetensors")
      do {
        let file = try SafetensorsFile(path: path)
        for entry in file.entries where entry.dtype.isReadable {
          #expect(file.tensor(entry).doubles().count == entry.shape.elementCount, "\(name)")
        }
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }
}
