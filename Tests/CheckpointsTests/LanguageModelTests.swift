import Models
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct LanguageModelTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ names: [String], configuration: String) throws -> Checkpoint {
    try folder.write(configuration, to: "config.json")
    try folder.writeTensors(names, to: "model.safetensors")
    return try Checkpoint(path: folder.path)
  }

  /// The hub's GPT-2 lacks the level that models saved after training have, and so may an adapter's names.
  @Test(arguments: ["", "transformer."]) func gpt2(prefix: String) throws {
    let checkpoint = try open(
      ["\(prefix)wte.weight", "\(prefix)h.0.attn.c_attn.weight"], configuration: "{\"model_type\": \"gpt2\"}")
    #expect(checkpoint.family == .languageModel)
    for name in ["h_0_attn_c_attn_weight", "transformer_h_0_attn_c_attn_weight"] {
      let weight = checkpoint.weight(flatName: name, in: .denoiser)
      #expect(weight.map { checkpoint.weights[$0.pieces[0].stored].name } == "\(prefix)h.0.attn.c_attn.weight")
    }
    // The output layer shares the embedding.
    let output = checkpoint.weight(flatName: "lm_head_weight", in: .denoiser)
    #expect(output.map { checkpoint.weights[$0.pieces[0].stored].name } == "\(prefix)wte.weight")
    #expect(checkpoint.weight(flatName: "h_1_attn_c_attn_weight", in: .denoiser) == nil)
    #expect(checkpoint.model?.storesTransposed("transformer_h_0_attn_c_attn") == true)
    #expect(checkpoint.model?.storesTransposed("transformer_wte") == false)
  }

  @Test(arguments: [true, false]) func llama(isTied: Bool) throws {
    let checkpoint = try open(
      ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"],
      configuration: "{\"model_type\": \"llama\", \"tie_word_embeddings\": \(isTied)}")
    #expect(checkpoint.family == .languageModel)
    #expect((checkpoint.weight(flatName: "lm_head_weight", in: .denoiser) != nil) == isTied)
    for name in ["model_layers_0_self_attn_q_proj_weight", "layers_0_self_attn_q_proj_weight"] {
      #expect(checkpoint.weight(flatName: name, in: .denoiser) != nil)
    }
    #expect(checkpoint.model?.storesTransposed("model_layers_0_self_attn_q_proj") == false)
  }

  /// Today's library names modules otherwise than its files, and keeps the files' names.
  @Test(arguments: [
    ("language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
    ("model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
    ("model.language_model.layers.0.mlp.up_proj", "language_model.model.layers.0.mlp.up_proj"),
    ("language_model.lm_head", "lm_head"), ("visual.blocks.0.attn.qkv", "model.visual.blocks.0.attn.qkv"),
    ("vision_tower.vision_model.encoder.layers.0.mlp.fc1", "model.vision_tower.encoder.layers.0.mlp.fc1"),
    ("thinker.model.layers.0.mlp.up_proj", "thinker.model.language_model.layers.0.mlp.up_proj"),
  ])
  func renamedLevels(stored: String, module: String) throws {
    let checkpoint = try open(
      [stored + ".weight", "model.other.layers.0.mlp.up_proj.weight", "vision_model.layers.0.mlp.up_proj.weight"],
      configuration: "{\"model_type\": \"gemma3\"}")
    let flat = module.split(separator: ".").joined(separator: "_") + "_weight"
    let weight = checkpoint.weight(flatName: flat, in: .denoiser)
    #expect(weight.map { checkpoint.weights[$0.pieces[0].stored].name } == stored + ".weight")
  }

  /// What several weights may be is none of them.
  @Test func ambiguousLevels() throws {
    let names = ["model.layers.0.up_proj.weight", "language_model.model.layers.0.up_proj.weight"]
    let checkpoint = try open(names, configuration: "{\"model_type\": \"gemma3\"}")
    #expect(checkpoint.weight(flatName: "model_language_model_layers_0_up_proj_weight", in: .denoiser) == nil)
    #expect(checkpoint.weight(flatName: "model_layers_0_up_proj_weight", in: .denoiser) != nil)
    let reason = checkpoint.absence(flatNames: ["layers_0_up_proj_weight"], in: .denoiser)
    #expect(reason.contains("several weights") && reason.contains("language_model_model_layers_0_up_proj_weight"))
  }

  /// An output layer of its own is itself, whatever the configuration says.
  @Test func ownOutputLayer() throws {
    let checkpoint = try open(
      ["model.embed_tokens.weight", "lm_head.weight"],
      configuration: "{\"model_type\": \"llama\", \"tie_word_embeddings\": true}")
    let output = checkpoint.weight(flatName: "lm_head_weight", in: .denoiser)
    #expect(output.map { checkpoint.weights[$0.pieces[0].stored].name } == "lm_head.weight")
  }

  /// An adapter that knows of no networks speaks of the only one there is.
  @Test func encoderAlone() throws {
    let name = "encoder.block.0.layer.0.SelfAttention.q.weight"
    let checkpoint = try open([name, "shared.weight"], configuration: "{\"model_type\": \"t5\"}")
    #expect(Set(checkpoint.weights.map(\.component)) == [.textEncoder1])
    for component in [Component.denoiser, .textEncoder1] {
      #expect(
        checkpoint.weight(flatName: "encoder_block_0_layer_0_SelfAttention_q_weight", in: component) != nil)
    }
  }
}
