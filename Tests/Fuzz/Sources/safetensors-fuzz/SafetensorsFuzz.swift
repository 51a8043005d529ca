import Checkpoints
import FuzzInputs
import Models
import Safetensors
import Tensors

/// Reads a safetensors file, all its tensors, and what it says as a base checkpoint.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(FuzzInput.safetensors(array(data, count)))
  guard let file = try? SafetensorsFile(path: memory.path) else { return 0 }
  for entry in file.entries where entry.dtype.isReadable { _ = file.tensor(entry).doubles() }
  guard let checkpoint = try? Checkpoint(path: memory.path) else { return 0 }
  for component in Component.allCases {
    for name in checkpoint.names(of: component) {
      _ = checkpoint.weight(named: WeightName(component, name))
      _ = checkpoint.weight(flatName: name, in: component)
    }
  }
  return 0
}
