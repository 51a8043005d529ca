import Foundation
import Images
import Safetensors
import Tensors
import TestSupport

/// The tiny models that pictures are rendered with, and adapters for them.
struct RenderFixture {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  static let sd1 = Goldens.path("diffusion/sd1-pipeline")
  static let sdxl = Goldens.path("diffusion/sdxl-pipeline")

  var out: String { folder.file("out.png") }

  /// An adapter with kohya's names for all attention of the UNet and of the first text encoder.
  func adapter(_ name: String = "style.safetensors", of model: String = sd1, seed: UInt64 = 1) throws -> String {
    var random = SplitMix64(seed: seed), tensors: [NamedValues] = []
    let isXL = model == Self.sdxl
    for (file, prefix) in [
      ("unet/diffusion_pytorch_model", "lora_unet_"), ("text_encoder/model", isXL ? "lora_te1_" : "lora_te_"),
    ] {
      for entry in try SafetensorsFile(path: "\(model)/\(file).safetensors").entries {
        let extents = entry.shape.extents
        let isAttention = ["to_q", "to_v", "q_proj", "v_proj"].contains { entry.name.hasSuffix($0 + ".weight") }
        guard extents.count == 2, isAttention else { continue }
        let target = prefix + entry.name.dropLast(7).replacing(".", with: "_")
        let up = random.gaussians(extents[0] * 2).map { $0 * 0.2 }
        tensors.append((target + ".lora_up.weight", [extents[0], 2], .f32, up))
        tensors.append((target + ".lora_down.weight", [2, extents[1]], .f32, random.gaussians(2 * extents[1])))
        tensors.append((target + ".alpha", [], .f32, [2]))
      }
    }
    let path = folder.file(name)
    try writeAdapter(to: path, tensors: tensors)
    return path
  }

  /// A TAESD decoder of random weights.
  func tinyDecoder(_ name: String = "taesd.safetensors") throws -> String {
    struct Entry: Decodable {
      let name: String
      let shape: [Int]
      let scale: Double
    }
    let entries = try JSONDecoder().decode([Entry].self, from: Goldens.data("diffusion/taesd/seeded.json"))
    var random = SplitMix64(seed: 5)
    let path = folder.file(name)
    try writeAdapter(
      to: path,
      tensors: entries.filter { $0.name.hasPrefix("decoder.") }.map { entry in
        (entry.name, entry.shape, .f32, random.gaussians(entry.shape.reduce(1, *)).map { $0 * entry.scale })
      })
    return path
  }

  /// Renders small pictures quickly: 64 pixels a side in two steps, unless `arguments` say otherwise.
  func render(_ arguments: [String], model: String = sd1, output: String? = "out.png") throws -> Tool.Run {
    func usual(_ option: String, _ value: String) -> [String] { arguments.contains(option) ? [] : [option, value] }
    return try Tool.run(
      ["render", model] + arguments + usual("--size", "64x64") + usual("--steps", "2")
        + (arguments.contains("--prompts") ? [] : usual("--prompt", "a photo of a cat"))
        + (output.map { ["-o", folder.file($0)] } ?? []))
  }

  func picture(_ name: String) throws -> PNGPicture { try PNGPicture(path: folder.file(name)) }
}
