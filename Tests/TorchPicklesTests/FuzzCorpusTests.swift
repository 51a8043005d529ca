import Files
import TestSupport
import Testing
import TorchPickles

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("pickle")
    var refused = 0
    for (name, bytes) in inputs {
      let path = try folder.write(FuzzInput.pickle(bytes), to: "input.pt")
      do {
        let views =
          switch try TorchPickle(MappedFile(path: path)).contents {
          case .list(let views): views
          case .dictionary(let items): items.map(\.view)
          }
        for view in views.prefix(4) {
          #expect(view.tensor.bytes.count == view.shape.elementCount * (view.dtype.bits / 8), "\(name)")
        }
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }
}
