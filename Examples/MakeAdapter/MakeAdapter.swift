import ArgumentParser
import Safetensors
import Tensors

/// Makes a small adapter with kohya's names, to try Lathe on; also an example of writing safetensors with the library.
@main
struct MakeAdapter: ParsableCommand {
  @Argument(help: "The file to write.")
  var file: String

  @Argument(help: "Different numbers make different adapters.")
  var seed: UInt64

  func run() throws {
    var noise = Noise(state: seed)
    let tensors = Layer.all.flatMap { $0.tensors(&noise) }
    let metadata: [(key: String, value: String)] = [
      ("ss_network_module", "networks.lora"), ("ss_network_dim", "\(Layer.rank)"), ("ss_network_alpha", "8"),
      ("ss_base_model_version", "sd_v1"), ("ss_output_name", "example \(seed)"),
      ("ss_tag_frequency", #"{"10_example": {"blue hair": 31, "smile": 18, "outdoors": 7}}"#),
    ]
    let items = tensors.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }
    let writer = try SafetensorsWriter(
      layout: SafetensorsLayout(items, metadata: metadata), destination: file, overwriting: true)
    for (name, tensor) in tensors { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
    try writer.seal()
    try writer.commit()
  }
}

/// A layer of SD1.5 that the adapter changes.
struct Layer {
  static let rank = 16

  var name: String
  var rows: Int
  var inputs: Int
  var kernel: [Int] = []

  /// The attention of two blocks, a convolution, and two layers of the text encoder.
  static let all: [Layer] =
    ["down_blocks_1_attentions_0", "up_blocks_2_attentions_1"].flatMap(attention)
    + [Layer(name: "lora_unet_mid_block_resnets_0_conv1", rows: 1280, inputs: 1280, kernel: [3, 3])]
    + (0..<2).flatMap { layer in
      ["q_proj", "k_proj", "v_proj", "out_proj"].map {
        Layer(name: "lora_te_text_model_encoder_layers_\(layer)_self_attn_\($0)", rows: 768, inputs: 768)
      }
    }

  private static func attention(_ block: String) -> [Layer] {
    let prefix = "lora_unet_\(block)_transformer_blocks_0_"
    return ["attn1_to_q", "attn1_to_k", "attn1_to_v", "attn1_to_out_0"].map {
      Layer(name: prefix + $0, rows: 640, inputs: 640)
    }
      + ["attn2_to_k", "attn2_to_v"].map { Layer(name: prefix + $0, rows: 640, inputs: 768) }
      + [
        Layer(name: prefix + "ff_net_0_proj", rows: 5120, inputs: 640),
        Layer(name: prefix + "ff_net_2", rows: 640, inputs: 2560),
      ]
  }

  func tensors(_ noise: inout Noise) -> [(name: String, tensor: Tensor)] {
    let ones = kernel.map { _ in 1 }
    return [
      (name + ".lora_up.weight", Self.factor([rows, Self.rank] + ones, componentAxis: 1, &noise)),
      (name + ".lora_down.weight", Self.factor([Self.rank, inputs] + kernel, componentAxis: 0, &noise)),
      (name + ".alpha", Tensor([8], shape: [], dtype: .f16)),
    ]
  }

  /// A factor whose component j has strength 1 ÷ (j + 1), as training leaves them.
  private static func factor(_ shape: [Int], componentAxis: Int, _ noise: inout Noise) -> Tensor {
    let stride = shape[(componentAxis + 1)...].reduce(1, *)
    let values = (0..<shape.reduce(1, *)).map { 0.05 * noise.next() / Double(($0 / stride) % rank + 1) }
    return Tensor(values, shape: Shape(shape), dtype: .f16)
  }
}

/// Numbers between -1 and 1 that look random (SplitMix64; Steele, Lea and Flood 2014).
struct Noise {
  var state: UInt64

  mutating func next() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double(Int64(bitPattern: z ^ (z >> 31))) * 0x1p-63
  }
}
