import Adapters
import Extracting
import Factoring
import Foundation
import Safetensors
import Tensors
import TestSupport

/// Pairs of small checkpoints whose difference is known.
struct ExtractFixture {
  /// A weight of both checkpoints, before rounding.
  struct Weight {
    var name: String
    var shape: [Int]
    var base: [Double]
    var tuned: [Double]
  }

  var weights: [Weight] = []
  private var noise: SplitMix64

  static let block = "down_blocks.0.attentions.0.transformer_blocks.0."

  init(seed: UInt64) { noise = SplitMix64(seed: seed) }

  /// Adds a weight that changes by a product of the given rank: 0 leaves it as it is.
  mutating func add(_ name: String, _ shape: [Int], rank: Int, size: Double = 0.02) {
    let rows = shape[0], columns = shape.dropFirst().reduce(1, *)
    let base = noise.gaussians(rows * columns).map { $0 * 0.05 }
    var tuned = base
    for k in 0..<rank {
      let (x, y) = (noise.gaussians(rows), noise.gaussians(columns)), scale = size / Double(k + 1)
      for i in 0..<rows { for j in 0..<columns { tuned[i * columns + j] += scale * x[i] * y[j] } }
    }
    weights.append(Weight(name: name, shape: shape, base: base, tuned: tuned))
  }

  /// A UNet of SD1.x in diffusers' names, as far as targets need one.
  static func unet(seed: UInt64, rank: Int, size: Double = 0.02) -> ExtractFixture {
    var fixture = ExtractFixture(seed: seed)
    fixture.add("conv_in.weight", [8, 4, 3, 3], rank: 0)
    fixture.add("down_blocks.0.resnets.0.conv1.weight", [24, 12, 3, 3], rank: rank, size: size)
    fixture.add("down_blocks.0.attentions.0.proj_in.weight", [24, 24, 1, 1], rank: rank, size: size)
    fixture.add(block + "attn1.to_q.weight", [24, 24], rank: rank, size: size)
    fixture.add(block + "attn2.to_k.weight", [24, 768], rank: rank, size: size)
    fixture.add(block + "ff.net.0.proj.weight", [192, 24], rank: rank, size: size)
    fixture.add(block + "norm1.weight", [24], rank: 1, size: size)
    fixture.add(block + "ff.net.0.proj.bias", [192], rank: 1, size: size)
    fixture.add(block + "attn1.to_v.weight", [24, 24], rank: 0)
    return fixture
  }

  /// Writes one side as a diffusers folder and returns its path.
  func folder(_ name: String, tuned: Bool, _ dtype: DType, in temporary: TemporaryFolder) throws -> String {
    let path = temporary.file(name)
    try FileManager.default.createDirectory(atPath: path + "/unet", withIntermediateDirectories: true)
    try Data(#"{"_class_name":"UNet2DConditionModel"}"#.utf8).write(to: URL(filePath: path + "/unet/config.json"))
    try writeAdapter(
      to: path + "/unet/diffusion_pytorch_model.safetensors",
      tensors: weights.map { ($0.name, $0.shape, dtype, tuned ? $0.tuned : $0.base) })
    return path
  }

  /// Writes one side as a single file in LDM's names.
  func file(_ name: String, tuned: Bool, _ dtype: DType, in temporary: TemporaryFolder) throws -> String {
    let renamed = weights.map { weight -> NamedValues in
      var name = weight.name.replacingOccurrences(of: "down_blocks.0.attentions.0.", with: "input_blocks.1.1.")
      name = name.replacingOccurrences(of: "down_blocks.0.resnets.0.conv1", with: "input_blocks.1.0.in_layers.2")
      name = name.replacingOccurrences(of: "conv_in", with: "input_blocks.0.0")
      return ("model.diffusion_model." + name, weight.shape, dtype, tuned ? weight.tuned : weight.base)
    }
    try writeAdapter(to: temporary.file(name), tensors: renamed)
    return temporary.file(name)
  }

  /// Both sides as folders.
  func folders(_ dtype: DType, in temporary: TemporaryFolder) throws -> (base: String, tuned: String) {
    (
      try folder("base", tuned: false, dtype, in: temporary), try folder("tuned", tuned: true, dtype, in: temporary)
    )
  }

  /// Plans, decomposes and writes.
  static func extract(
    _ recipe: ExtractRecipe, to output: String, overwriting: Bool = false, threads: Int = 2
  ) throws -> ExtractResult {
    let plan = try ExtractPlan(recipe)
    try plan.checkDestination(output, overwriting: overwriting)
    let decomposition = try ExtractDecomposition(plan, output: output, threads: threads)
    return try decomposition.write(
      try decomposition.allocation(), to: output, overwriting: overwriting, threads: threads)
  }

  /// The product of a module's factors in the file of an adapter, row-major.
  static func change(_ module: String, in file: SafetensorsFile) -> [Double]? {
    guard let up = file["\(module).lora_up.weight"], let down = file["\(module).lora_down.weight"] else { return nil }
    let (rows, rank) = (up.shape[0], up.shape[1]), columns = down.shape.flattened.columns
    let scale = (file["\(module).alpha"]?.scalar ?? Double(rank)) / Double(rank)
    return Dense.product(up.doubles(), down.doubles(), rows: rows, inner: rank, columns: columns).map { $0 * scale }
  }

  /// The stored difference of a weight: of the rounded numbers.
  func difference(_ name: String, _ dtype: DType) -> [Double] {
    let weight = weights.first { $0.name == name }!
    let shape = Shape(weight.shape)
    let (old, new) = (
      Tensor(weight.base, shape: shape, dtype: dtype).doubles(),
      Tensor(weight.tuned, shape: shape, dtype: dtype).doubles()
    )
    return zip(new, old).map { $0 - $1 }
  }

  static func module(_ name: String) -> String {
    "lora_unet_"
      + name.replacingOccurrences(of: ".weight", with: "").replacingOccurrences(of: ".bias", with: "")
      .replacingOccurrences(of: ".", with: "_")
  }
}
