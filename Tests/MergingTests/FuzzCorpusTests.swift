import Factoring
import Merging
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused as recipes of merges") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("recipe")
    var refused = 0
    for (name, bytes) in inputs {
      let path = try folder.write(bytes, to: "input.yaml")
      do {
        let recipe = try MergeRecipeFile(path: path).recipe
        #expect(!recipe.inputs.isEmpty && recipe.inputs.allSatisfy { $0.strength.isFinite }, "\(name)")
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name): \(error)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }
}
