import Checkpoints
import Files
import FuzzInputs
import GGUF
import Tensors

/// Reads a GGUF file, all its tensors, and what it says as a base checkpoint.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(array(data, count))
  guard let mapped = try? MappedFile(path: memory.path), let file = try? GGUFFile(mapped) else { return 0 }
  for entry in file.entries { _ = file.tensor(entry).doubles() }
  _ = file.texts
  _ = try? Checkpoint(path: memory.path)
  return 0
}
