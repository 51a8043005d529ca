import Safetensors
import Tensors

/// Makes a checkpoint of SDXL's size and names in one file of half precision, 6.9 GB. Its numbers repeat from tensor to
/// tensor, which no tool under test can profit from.
struct SDXLCheckpoint {
  /// Channels of each residual block, as sgm numbers them.
  private static let resnets: [(block: String, from: Int, to: Int)] = [
    ("input_blocks.1.0", 320, 320), ("input_blocks.2.0", 320, 320), ("input_blocks.4.0", 320, 640),
    ("input_blocks.5.0", 640, 640), ("input_blocks.7.0", 640, 1280), ("input_blocks.8.0", 1280, 1280),
    ("middle_block.0", 1280, 1280), ("middle_block.2", 1280, 1280), ("output_blocks.0.0", 2560, 1280),
    ("output_blocks.1.0", 2560, 1280), ("output_blocks.2.0", 1920, 1280), ("output_blocks.3.0", 1920, 640),
    ("output_blocks.4.0", 1280, 640), ("output_blocks.5.0", 960, 640), ("output_blocks.6.0", 960, 320),
    ("output_blocks.7.0", 640, 320), ("output_blocks.8.0", 640, 320),
  ]

  private static var items: [SafetensorsLayout.Item] {
    var items: [SafetensorsLayout.Item] = []
    func add(_ name: String, _ extents: Int...) { items.append(.init(name: name, dtype: .f16, shape: Shape(extents))) }
    let unet = "model.diffusion_model."
    for target in SDXLAdapter.targets { add(weight(of: target.name), target.rows, target.columns) }
    for (block, from, to) in resnets {
      add("\(unet)\(block).in_layers.2.weight", to, from, 3, 3)
      add("\(unet)\(block).emb_layers.1.weight", to, 1280)
      add("\(unet)\(block).out_layers.3.weight", to, to, 3, 3)
      if from != to { add("\(unet)\(block).skip_connection.weight", to, from, 1, 1) }
    }
    for (name, channels) in [
      ("input_blocks.3.0.op", 320), ("input_blocks.6.0.op", 640), ("output_blocks.2.2.conv", 1280),
      ("output_blocks.5.2.conv", 640),
    ] {
      add("\(unet)\(name).weight", channels, channels, 3, 3)
    }
    add("\(unet)input_blocks.0.0.weight", 320, 4, 3, 3)
    add("\(unet)label_emb.0.0.weight", 1280, 2816)
    add("\(unet)label_emb.0.2.weight", 1280, 1280)
    let second = "conditioner.embedders.1.model."
    for layer in 0..<32 {
      let block = "\(second)transformer.resblocks.\(layer)."
      add(block + "attn.in_proj_weight", 3840, 1280)
      add(block + "attn.out_proj.weight", 1280, 1280)
      add(block + "mlp.c_fc.weight", 5120, 1280)
      add(block + "mlp.c_proj.weight", 1280, 5120)
    }
    add(second + "token_embedding.weight", 49408, 1280)
    add("conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight", 49408, 768)
    add("first_stage_model.decoder.all.weight", 83_653_863)
    return items
  }

  /// The base's name for a target of the adapter.
  private static func weight(of target: String) -> String {
    func words(_ text: String) -> String {
      // Underscores that belong to a word, and underscores that stand for dots.
      var text = text
      for word in [
        "input_blocks", "output_blocks", "middle_block", "transformer_blocks", "to_q", "to_k", "to_v", "to_out",
        "proj_in", "proj_out", "text_model", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj",
      ] {
        text = text.replacing(word, with: word.replacing("_", with: "~"))
      }
      return text.replacing("_", with: ".").replacing("~", with: "_")
    }
    let unet = "lora_unet_", encoder = "lora_te1_"
    return target.hasPrefix(unet)
      ? "model.diffusion_model.\(words(String(target.dropFirst(unet.count)))).weight"
      : "conditioner.embedders.0.transformer.\(words(String(target.dropFirst(encoder.count)))).weight"
  }

  static func write(to path: String) throws {
    var noise = Noise(seed: 7)
    let block = Tensor((0..<1 << 20).map { _ in 0.03 * noise.gaussian() }, shape: [1 << 20], dtype: .f16).bytes
    let layout = SafetensorsLayout(items, metadata: [("modelspec.architecture", "stable-diffusion-xl-v1-base")])
    let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: true)
    for (item, range) in layout.places {
      for start in stride(from: 0, to: range.count, by: block.count) {
        try block[0..<min(block.count, range.count - start)].withUnsafeBytes {
          try writer.write($0, of: item.name, at: start)
        }
      }
    }
    try writer.seal()
    try writer.commit()
  }
}
