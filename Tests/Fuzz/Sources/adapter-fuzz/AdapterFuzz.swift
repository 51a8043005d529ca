import Adapters
import Checkpoints
import Foundation
import FuzzInputs
import JSON
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
  // What depends on a base is computed with one; the file's sizes are then the base's.
  guard let bound = try? adapter.bound(to: base) else { return 0 }
  for target in bound.adapter.targets.suffix(bound.adapter.targets.count - adapter.targets.count) {
    _ = (target.up.doubles(), target.down.doubles())
  }
  return 0
}

/// A base with weights for the names of the seeds.
private let base: Checkpoint = {
  let shapes = [
    "mid_block.attentions.0.proj_in.weight": [8, 8], "mid_block.attentions.0.proj_out.weight": [8, 8],
    "conv_in.weight": [8, 4, 3, 3], "conv_in.bias": [8], "conv_out.weight": [8, 4], "conv_norm_out.weight": [8],
    "conv_norm_out.bias": [8], "time_embed.0.weight": [4, 4], "time_embed.2.weight": [4, 4],
    "label_emb.weight": [8, 8], "wte.weight": [9, 4],
  ]
  let items = shapes.map { SafetensorsLayout.Item(name: $0.key, dtype: .f32, shape: Shape($0.value)) }
  let layout = SafetensorsLayout(inOrder: items, metadata: [])
  let numbers = items.flatMap { item in (0..<item.shape.elementCount).map { Float($0 % 7) / 4 - 0.7 } }
  let bytes = layout.head() + numbers.flatMap { withUnsafeBytes(of: $0, Array.init) }
  let path = NSTemporaryDirectory() + "/base.safetensors"
  do {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try Checkpoint(path: path)
  } catch { fatalError("\(path): \(error)") }
}()
