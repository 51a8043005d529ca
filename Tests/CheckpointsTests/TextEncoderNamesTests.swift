import Checkpoints
import Models
import Tensors
import TestSupport
import Testing

@Suite struct TextEncoderNamesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ tensors: [NamedValues]) throws -> Checkpoint {
    try writeAdapter(to: folder.file("file.safetensors"), tensors: tensors)
    return try Checkpoint(path: folder.file("file.safetensors"))
  }

  /// Very old files lack `text_model.`, and so do the names of new versions of the library.
  @Test(arguments: [true, false]) func firstLevelOfCLIP(isStored: Bool) throws {
    let tensors = NameGolden.named("clip-l").originalTensors
    let checkpoint = try open(
      tensors.map { tensor in
        let name = isStored ? tensor.name : tensor.name.replacing("text_model.", with: "")
        return ("cond_stage_model.transformer.\(name)", tensor.shape, tensor.dtype, tensor.values)
      })
    for tensor in tensors {
      for name in [tensor.name, tensor.name.replacing("text_model.", with: "")] {
        let read = try checkpoint.weight(named: WeightName(.textEncoder1, name), shape: Shape(tensor.shape))
        #expect(read.doubles() == tensor.values, "\(name)")
        let flat = checkpoint.weight(flatName: name.replacing(".", with: "_"), in: .textEncoder1)
        #expect(flat.map { checkpoint.values(of: $0) } == tensor.values, "\(name)")
      }
    }
  }

  /// OpenCLIP's own file under the names of the new library.
  @Test func firstLevelOfOpenCLIP() throws {
    let golden = NameGolden.named("openclip-bigg")
    let checkpoint = try open(golden.originalTensors.prefixed("conditioner.embedders.1.model."))
    for (name, expected) in golden.diffusers {
      let short = name.replacing("text_model.", with: "")
      let read = try checkpoint.weight(named: WeightName(.textEncoder2, short), shape: Shape(expected.shape))
      #expect(NameGolden.checksum(read.doubles()) == expected.checksum, "\(short)")
      #expect(checkpoint.weight(flatName: short.replacing(".", with: "_"), in: .textEncoder2) != nil, "\(short)")
    }
  }

  @Test(arguments: [["shared"], ["encoder.embed_tokens"], ["shared", "encoder.embed_tokens"]])
  func embeddingOfT5(stored: [String]) throws {
    let checkpoint = try open(
      (stored + ["encoder.block.0.layer.0.SelfAttention.q"]).map {
        filler("text_encoders.t5xxl.transformer.\($0).weight", [2, 2])
      })
    #expect(checkpoint.weight(named: WeightName(.textEncoder3, "shared.weight")) != nil)
    for name in ["shared_weight", "encoder_embed_tokens_weight"] {
      #expect(checkpoint.weight(flatName: name, in: .textEncoder3) != nil, "\(name)")
    }
  }

  /// T5 is the second or the third text encoder of Flux.1, by trainer.
  @Test func numbersOfTextEncoders() throws {
    let names = [
      "double_blocks.0.img_attn.norm.key_norm.scale",
      "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight",
    ]
    let checkpoint = try open(names.map { filler($0, [2, 2]) })
    #expect(checkpoint.family == .flux1)
    for component in [Component.textEncoder2, .textEncoder3] {
      #expect(
        checkpoint.weight(flatName: "encoder_block_0_layer_0_SelfAttention_q_weight", in: component) != nil)
    }
  }

  /// diffusers' names of the VAE's attention before 2023.
  @Test func earlyAutoencoder() throws {
    let golden = NameGolden.named("vae"), original = golden.originalTensors
    let today = try open(original)
    let names = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
    let early = try open(
      try golden.diffusers.map { name, expected in
        let values = try today.weight(named: WeightName(.vae, name), shape: Shape(expected.shape)).doubles()
        let old = names.first { name.contains(".\($0.0).") }.map { name.replacing($0.0, with: $0.1) }
        return (old ?? name, expected.shape, .f32, values)
      })
    for (name, expected) in golden.diffusers {
      let read = try early.weight(named: WeightName(.vae, name), shape: Shape(expected.shape))
      #expect(NameGolden.checksum(read.doubles()) == expected.checksum, "\(name)")
    }
    for tensor in original {
      let flat = early.weight(flatName: tensor.name.replacing(".", with: "_"), in: .vae)
      #expect(flat.map { early.values(of: $0) } == tensor.values, "\(tensor.name)")
    }
    #expect(today.weight(flatName: "encoder_mid_block_attentions_0_query_weight", in: .vae) != nil)
  }
}
