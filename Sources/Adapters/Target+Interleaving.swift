import Models
import Tensors

extension Target {
  /// The target with its fused projection in the order that checkpoints have, where a trainer took it in another one.
  ///
  /// DiffSynth-Studio trains MiniMax-H3 with the rows of its projections as its shards have them: queries, keys and values of the first
  /// head, then of the second. All others, and checkpoints of one file, have all queries first. Shapes do not tell; that its names
  /// hold the word `default` does. What is written later has the usual order, and therefore names without that word.
  ///
  /// Source: diffusers, `_convert_non_diffusers_minimax_h3_lora_to_diffusers`.
  func inCheckpointOrder(for family: Family) -> Target {
    guard let width = family.interleavedHeadWidth(of: key.path), kind == .linear, algorithm == .lora,
      names.up.includes(".lora_B.default."), rows % (3 * width) == 0
    else { return self }
    let heads = rows / (3 * width), bytes = up.shape.extents.dropFirst().reduce(1, *) * up.dtype.bits / 8
    let rows = (0..<3).flatMap { part in
      (0..<heads).flatMap { head in (0..<width).map { (3 * head + part) * width + $0 } }
    }
    let reordered = Tensor(
      dtype: up.dtype, shape: up.shape,
      bytes: Bytes(count: rows.count * bytes) {
        Bytes(count: rows.count * bytes) { place in
          up.bytes.withUnsafeBytes { own in
            for (row, source) in rows.enumerated() {
              let part = UnsafeRawBufferPointer(rebasing: own[source * bytes..<(source + 1) * bytes])
              UnsafeMutableRawBufferPointer(rebasing: place[row * bytes..<(row + 1) * bytes]).copyMemory(from: part)
            }
          }
        }
      })
    return Target(
      name: name, key: key, kind: kind, up: reordered, down: down, mid: mid,
      names: TensorNames(up: name + ".lora_B.weight", down: name + ".lora_A.weight", alpha: names.alpha), alpha: alpha,
      scale: scale, isTransposed: isTransposed, storedRank: storedRank)
  }
}
