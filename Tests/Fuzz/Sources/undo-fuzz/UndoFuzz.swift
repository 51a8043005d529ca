import Baking
import Foundation
import FuzzInputs

/// Reads an undo file, and takes a bake back with it. A text that begins with `{` becomes one with this header.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(FuzzInput.safetensors(array(data, count)))
  guard let undo = try? UndoFile(path: memory.path) else { return 0 }
  guard let unbake = try? Unbake(baked: baked, undo: undo) else { return 0 }
  _ = try? unbake.write(to: baked + ".back", overwriting: true, threads: 1)
  return 0
}

private let baked: String = {
  let path = NSTemporaryDirectory() + "/baked.safetensors"
  do {
    try Data(FuzzInput.baked).write(to: URL(fileURLWithPath: path))
    return path
  } catch { fatalError("\(error)") }
}()
