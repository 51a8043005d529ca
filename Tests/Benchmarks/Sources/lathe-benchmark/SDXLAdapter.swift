import LinearAlgebra
import Safetensors
import Tensors

/// Makes an adapter of the size that SDXL authors publish: kohya names, 722 UNet and 72 text-encoder targets.
///
/// Factors look trained: singular values fall like a power of their index, and the components of a factor are mixed, so
/// that no solver gets an easy orthogonal input.
struct SDXLAdapter {
  struct Target {
    var name: String
    var rows: Int
    var columns: Int
  }

  let rank: Int
  let seed: UInt64

  static let targets: [Target] = unetTargets + textEncoderTargets

  private static var unetTargets: [Target] {
    // (block, attentions in it, transformer depth, channels), as sgm numbers them.
    let attentions: [(block: String, depth: Int, channels: Int)] =
      [
        ("input_blocks_4_1", 2, 640), ("input_blocks_5_1", 2, 640), ("input_blocks_7_1", 10, 1280),
        ("input_blocks_8_1", 10, 1280),
      ]
      + [("middle_block_1", 10, 1280)]
      + (0..<3).map { ("output_blocks_\($0)_1", 10, 1280) } + (3..<6).map { ("output_blocks_\($0)_1", 2, 640) }
    return attentions.flatMap { attention -> [Target] in
      let c = attention.channels, prefix = "lora_unet_\(attention.block)_"
      let layers = (0..<attention.depth).flatMap { layer -> [Target] in
        let block = "\(prefix)transformer_blocks_\(layer)_"
        return ["to_q", "to_k", "to_v", "to_out_0"].map { Target(name: "\(block)attn1_\($0)", rows: c, columns: c) }
          + ["to_q", "to_out_0"].map { Target(name: "\(block)attn2_\($0)", rows: c, columns: c) }
          + ["to_k", "to_v"].map { Target(name: "\(block)attn2_\($0)", rows: c, columns: 2048) }
          + [
            Target(name: "\(block)ff_net_0_proj", rows: 8 * c, columns: c),
            Target(name: "\(block)ff_net_2", rows: c, columns: 4 * c),
          ]
      }
      return layers + ["proj_in", "proj_out"].map { Target(name: prefix + $0, rows: c, columns: c) }
    }
  }

  private static var textEncoderTargets: [Target] {
    (0..<12).flatMap { layer -> [Target] in
      let prefix = "lora_te1_text_model_encoder_layers_\(layer)_"
      return ["q", "k", "v", "out"].map { Target(name: "\(prefix)self_attn_\($0)_proj", rows: 768, columns: 768) }
        + [
          Target(name: prefix + "mlp_fc1", rows: 3072, columns: 768),
          Target(name: prefix + "mlp_fc2", rows: 768, columns: 3072),
        ]
    }
  }

  /// Writes the adapter in half precision.
  func write(to path: String) throws {
    let items = Self.targets.flatMap { target in
      [
        SafetensorsLayout.Item(name: target.name + ".lora_up.weight", dtype: .f16, shape: [target.rows, rank]),
        SafetensorsLayout.Item(name: target.name + ".lora_down.weight", dtype: .f16, shape: [rank, target.columns]),
        SafetensorsLayout.Item(name: target.name + ".alpha", dtype: .f16, shape: []),
      ]
    }
    let metadata = [
      ("ss_network_dim", "\(rank)"), ("ss_network_alpha", "\(rank / 2)"), ("ss_base_model_version", "sdxl_base_v1-0"),
      ("ss_network_module", "networks.lora"),
    ]
    let writer = try SafetensorsWriter(
      layout: SafetensorsLayout(items, metadata: metadata.map { (key: $0.0, value: $0.1) }), destination: path,
      overwriting: true)
    let alpha = Tensor([Double(rank) / 2], shape: [], dtype: .f16)
    _ = try concurrentMap(count: Self.targets.count, threads: 2, workspace: {}) { index, _ in
      let target = Self.targets[index]
      var noise = Noise(seed: seed &+ UInt64(index) &* 0x9e37)
      let up = factor(rows: target.rows, noise: &noise), down = factor(rows: target.columns, noise: &noise).transposed
      for (name, matrix) in [(".lora_up.weight", up), (".lora_down.weight", down)] {
        let tensor = Tensor(matrix.elements, shape: Shape([matrix.rows, matrix.columns]), dtype: .f16)
        try tensor.bytes.withUnsafeBytes { try writer.write($0, of: target.name + name) }
      }
      try alpha.bytes.withUnsafeBytes { try writer.write($0, of: target.name + ".alpha") }
    }
    try writer.seal()
    try writer.commit()
  }

  /// length × rank: random directions of falling strength, mixed by a random matrix.
  private func factor(rows: Int, noise: inout Noise) -> Matrix {
    let directions = Matrix(rows: rows, columns: rank, elements: (0..<rows * rank).map { _ in noise.gaussian() })
    let mixing = Matrix(rows: rank, columns: rank, elements: (0..<rank * rank).map { _ in noise.gaussian() })
    let strengths = (0..<rank).map { 0.02 / (Double($0 + 1).squareRoot() * Double(rank).squareRoot()) }
    return directions.scalingColumns(by: strengths) * mixing
  }
}

/// A small seeded generator (SplitMix64; Steele, Lea and Flood 2014) with roughly normal output.
struct Noise {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// The sum of four uniform numbers, scaled to variance 1.
  mutating func gaussian() -> Double {
    let bits = next()
    let sum = (0..<4).reduce(0.0) { $0 + Double(bits >> (16 * UInt64($1)) & 0xffff) / 65536 }
    return (sum - 2) * 1.7320508075688772
  }
}
