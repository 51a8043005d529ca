import LinearAlgebra
import Safetensors
import Tensors

/// Makes adapters of SDXL's size whose deltas are full matrices: nothing about them is of low rank.
struct SDXLFullAdapter {
  enum Kind: String, CaseIterable {
    /// Of every weight its whole difference: what a training of rank 64 would give, and noise in all directions.
    case differences
    /// Kronecker products of two matrices, a small one and a large one.
    case kronecker
    /// Rank 64 with lengths of rows: its delta is the base's own weights, rescaled, and the rest.
    case dora
  }

  let kind: Kind

  private func items(_ target: SDXLAdapter.Target) -> [SafetensorsLayout.Item] {
    func item(_ ending: String, _ extents: Int...) -> SafetensorsLayout.Item {
      .init(name: target.name + ending, dtype: .f16, shape: Shape(extents))
    }
    switch kind {
    case .differences: return [item(".diff", target.rows, target.columns)]
    case .kronecker:
      return [
        item(".lokr_w1", 8, 8), item(".lokr_w2", target.rows / 8, target.columns / 8),
        .init(name: target.name + ".alpha", dtype: .f16, shape: []),
      ]
    case .dora:
      return [
        item(".lora_up.weight", target.rows, 64), item(".lora_down.weight", 64, target.columns),
        item(".dora_scale", target.rows, 1), .init(name: target.name + ".alpha", dtype: .f16, shape: []),
      ]
    }
  }

  private func values(_ target: SDXLAdapter.Target, _ item: SafetensorsLayout.Item, _ noise: inout Noise) -> [Double] {
    func random(_ count: Int, _ size: Double) -> [Double] { (0..<count).map { _ in size * noise.gaussian() } }
    let count = item.shape.elementCount
    switch item.name.dropFirst(target.name.count) {
    case ".diff":
      let up = Matrix(rows: target.rows, columns: 64, elements: random(target.rows * 64, 0.0003))
      let strengths = (0..<64).map { 1 / Double($0 + 1).squareRoot() }
      let down = Matrix(rows: 64, columns: target.columns, elements: random(64 * target.columns, 1))
      let product = up.scalingColumns(by: strengths) * down
      return product.elements.map { $0 + 2e-4 * noise.gaussian() }
    case ".alpha": return [32]
    // The base's rows are 0.03·√columns long.
    case ".dora_scale":
      return random(count, 0.02).map { (1 + $0) * 0.03 * Double(target.columns).squareRoot() }
    default: return random(count, 0.02)
    }
  }

  /// Writes the adapter in half precision.
  func write(to path: String) throws {
    let targets = SDXLAdapter.targets
    let writer = try SafetensorsWriter(
      layout: SafetensorsLayout(
        targets.flatMap(items), metadata: [("ss_base_model_version", "sdxl_base_v1-0")]), destination: path,
      overwriting: true)
    _ = try concurrentMap(count: targets.count, threads: 2, workspace: {}) { index, _ in
      var noise = Noise(seed: 99 &+ UInt64(index) &* 0x9e37)
      for item in items(targets[index]) {
        let tensor = Tensor(values(targets[index], item, &noise), shape: item.shape, dtype: .f16)
        try tensor.bytes.withUnsafeBytes { try writer.write($0, of: item.name) }
      }
    }
    try writer.seal()
    try writer.commit()
  }
}
