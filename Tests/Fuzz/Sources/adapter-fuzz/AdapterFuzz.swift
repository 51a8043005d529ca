import Adapters
import Checkpoints
import FuzzInputs
import Safetensors
import Tensors

/// Reads an adapter, and asks it everything that needs no arithmetic on its factors.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let (file, configuration) = FuzzInput.adapter(array(data, count)) else { return 0 }
  let memory = MemoryFile.shared
  memory.fill(file)
  let value = configuration.flatMap { JSONValue(parsing: $0) }
  guard let adapter = try? Adapter(tensorFile: memory.path, configuration: value) else { return 0 }
  _ = AdapterProblem.grouped(adapter.problems)
  _ = TrainingMetadata(adapter)
  _ = try? adapter.requireWorkable(allowingUnknown: true, allowingUnsupported: true)
  for target in adapter.targets {
    _ = (target.key.ldmPath, target.key.block, target.shape, target.storedRank, target.byteCount, target.dottedPath)
  }
  return 0
}
