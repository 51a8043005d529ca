import Checkpoints
import Codecs
import FuzzInputs
import Tensors

/// Reads a checkpoint of weights that are stored as codes, as safetensors or GGUF, and moves their codes. A text that begins with
/// `{` becomes a safetensors file with this header.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let memory = MemoryFile.shared
  memory.fill(FuzzInput.safetensors(array(data, count)))
  guard let base = try? Checkpoint(path: memory.path) else { return 0 }
  for weight in base.weights {
    guard let codec = weight.quantisation?.codec, codec.count > 0, codec.count <= 1 << 20 else { continue }
    let numbers = base.decodedTensor(weight).floats()
    guard let grid = codec.grid else { continue }
    var places = [UInt8](repeating: 0, count: codec.count), steps = [Float](repeating: 0, count: codec.count)
    grid.read(rows: 0..<codec.rows, places: &places, steps: &steps)
    let delta = numbers.indices.map { Float($0 % 7 - 3) * numbers[$0] * 0.1 }
    var survival = Survival()
    grid.roundNearest(
      &places, steps: steps, base: numbers, delta: delta, count: codec.count, counting: &survival)
    grid.roundStochastically(
      &places, steps: steps, base: numbers, delta: delta, count: codec.count, seed: 1, first: 0, counting: &survival)
    var bytes = base.storedBytes(weight).withUnsafeBytes(Array.init)
    bytes.withUnsafeMutableBytes { grid.write(rows: 0..<codec.rows, places: &places, into: $0) }
  }
  return 0
}
