import Baking
import Factoring
import FuzzInputs
import Merging

/// Reads a text as the recipe of a merge, and as that of a bake.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(array(data, count))
  _ = try? MergeRecipeFile(path: memory.path)
  _ = try? BakeRecipeFile(path: memory.path, base: "base.safetensors")
  return 0
}
