import Baking
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused as recipes of bakes") func recipes() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("recipe")
    var refused = 0
    for (name, bytes) in inputs {
      let path = try folder.write(bytes, to: "input.yaml")
      do {
        let recipe = try BakeRecipeFile(path: path, base: "base.safetensors").recipe
        #expect(!recipe.inputs.isEmpty && recipe.inputs.allSatisfy { $0.strength.isFinite }, "\(name)")
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("\(path): "), "\(name): \(error)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }

  @Test("inputs of the fuzzer are refused, or take nothing back") func undo() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("undo")
    let baked = try folder.write(FuzzInput.baked, to: "baked.safetensors")
    var read = 0
    for (name, bytes) in inputs {
      let path = try folder.write(FuzzInput.safetensors(bytes), to: "input.undo")
      do {
        let undo = try UndoFile(path: path)
        read += 1
        _ = try Unbake(baked: baked, undo: undo).write(to: folder.file("back"), overwriting: true, threads: 1)
      } catch {
        let isNamed = "\(error)".hasPrefix("\(path): ") || "\(error)".hasPrefix("\(baked): ")
        #expect(isNamed, "\(name): \(error)")
      }
    }
    #expect(read > 0 && read < inputs.count)
    #expect(try folder.names == ["baked.safetensors", "input.undo"])
  }
}
