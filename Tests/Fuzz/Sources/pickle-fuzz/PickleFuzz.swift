import Files
import FuzzInputs
import Tensors
import TorchPickles

/// Reads a torch pickle and copies its tensors out.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(FuzzInput.pickle(array(data, count)))
  guard let mapped = try? MappedFile(path: memory.path), let pickle = try? TorchPickle(mapped) else { return 0 }
  let views =
    switch pickle.contents {
    case .list(let views): views
    case .dictionary(let items): items.map(\.view)
    }
  // Copies are limited one by one; a few are enough.
  for view in views.prefix(4) where view.dtype.isReadable { _ = view.tensor.bytes.count }
  return 0
}
