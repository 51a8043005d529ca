import Baking
import FuzzInputs

/// Reads an undo file. A text that begins with `{` becomes one with this header.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(FuzzInput.safetensors(array(data, count)))
  _ = try? UndoFile(path: memory.path)
  return 0
}
