import Adapters
import Checkpoints
import JSON
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("adapter")
    var refused = 0, targets = 0
    for (name, bytes) in inputs {
      guard let (file, configuration) = FuzzInput.adapter(bytes) else { continue }
      let path = try folder.write(file, to: "input.safetensors")
      do {
        let adapter = try Adapter(tensorFile: path, configuration: configuration.flatMap { JSONValue(parsing: $0) })
        for problem in AdapterProblem.grouped(adapter.problems) { #expect(!problem.isEmpty, "\(name)") }
        for target in adapter.targets {
          targets += 1
          #expect(target.rows > 0 && target.columns > 0 && !target.key.block.isEmpty, "\(name)")
          _ = target.key.ldmPath
        }
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name)")
      }
    }
    #expect(refused > 0 && targets > 0)
  }
}
