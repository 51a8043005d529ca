import Checkpoints
import Models
import Testing

@testable import Adapters

/// Proves that one module has one identity, however a dialect spells it, and that networks are not mixed up.
@Suite struct TargetKeyTests {
  @Test("all spellings of a UNet module are one target")
  func unet() {
    let key = TargetKey(.denoiser, "down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0")
    let flat = "down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0"
    for prefix in ["lora_unet_", "lora_unet__", "lycoris_", "oft_unet_", "diffusion_model_"] {
      #expect(AdapterFormat.kohya.dialect.key(of: prefix + flat) == key)
    }
    #expect(
      AdapterFormat.kohya.dialect.key(of: "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0") == key)
    let dotted = "down_blocks.1.attentions.0.transformer_blocks.0.attn1."
    for name in [
      "\(dotted)to_out.0", "unet.\(dotted)to_out.0", "\(dotted)processor.to_out", "unet.\(dotted)processor.to_out",
    ] {
      #expect(AdapterFormat.diffusers.dialect.key(of: name) == key)
    }
    for name in ["base_model.model.\(dotted)to_out.0", "unet.base_model.model.\(dotted)to_out.0"] {
      #expect(AdapterFormat.peft.dialect.key(of: name) == key)
    }
    #expect(
      AdapterFormat.native.dialect.key(of: "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_out.0")
        == key)
  }

  @Test("all spellings of a text encoder module are one target, and encoders stay apart")
  func textEncoders() {
    let path = "encoder_layers_3_self_attn_q_proj"
    for (prefix, component) in [
      ("lora_te_", Component.textEncoder1), ("lora_te1_", .textEncoder1), ("lora_te2_", .textEncoder2),
      ("lora_te3_", .textEncoder3),
    ] {
      #expect(AdapterFormat.kohya.dialect.key(of: prefix + "text_model_" + path) == TargetKey(component, path))
      #expect(AdapterFormat.kohya.dialect.key(of: prefix + path) == TargetKey(component, path))
    }
    for (prefix, component) in [
      ("text_encoder.", Component.textEncoder1), ("text_encoder_2.", .textEncoder2),
      ("text_encoder_3.", .textEncoder3),
    ] {
      for name in [
        "text_model.encoder.layers.3.self_attn.q_proj", "encoder.layers.3.self_attn.q_proj",
        "text_model.encoder.layers.3.self_attn.to_q",
      ] {
        #expect(AdapterFormat.diffusers.dialect.key(of: prefix + name) == TargetKey(component, path))
      }
    }
  }

  @Test(
    "modules of diffusion transformers are one target with and without their component",
    arguments: [
      ("single_transformer_blocks.12.proj_out", "single_transformer_blocks_12_proj_out"),
      ("transformer_blocks.0.attn.to_q", "transformer_blocks_0_attn_to_q"),
      ("blocks.0.attn1.to_q", "blocks_0_attn1_to_q"),
      ("proj_out", "proj_out"), ("x_embedder", "x_embedder"), ("layers.4.attention.to_q", "layers_4_attention_to_q"),
      // Modules of their own: no list of layers is below.
      ("single_transformer_blocks.3.attn.to_out", "single_transformer_blocks_3_attn_to_out"),
      ("double_stream_blocks.0.block.attn1.to_out", "double_stream_blocks_0_block_attn1_to_out"),
    ])
  func transformers(name: String, path: String) {
    for spelled in ["transformer." + name, "diffusion_model." + name, name] {
      #expect(AdapterFormat.diffusers.dialect.key(of: spelled) == TargetKey(.denoiser, path))
    }
    #expect(AdapterFormat.kohya.dialect.key(of: "lora_transformer_" + path) == TargetKey(.denoiser, path))
    #expect(AdapterFormat.diffusers.dialect.key(of: "transformer_2." + name) == TargetKey(.denoiser2, path))
  }

  @Test("a language model's module called transformer keeps its name")
  func languageModel() {
    let key = TargetKey(.denoiser, "transformer_h_0_attn_c_attn")
    #expect(AdapterFormat.peft.dialect.key(of: "base_model.model.transformer.h.0.attn.c_attn") == key)
    #expect(
      AdapterFormat.peft.dialect.key(of: "base_model.model.base_model.model.transformer.h.0.attn.c_attn") == key)
    #expect(AdapterFormat.peft.dialect.key(of: "transformer.h.0.attn.c_attn") == key)
  }

  @Test(
    "XLabs' names are those of the base checkpoint",
    arguments: [
      ("double_blocks.3.processor.qkv_lora1", "double_blocks_3_img_attn_qkv"),
      ("double_blocks.3.processor.qkv_lora2", "double_blocks_3_txt_attn_qkv"),
      ("double_blocks.3.processor.proj_lora1", "double_blocks_3_img_attn_proj"),
      ("double_blocks.3.processor.proj_lora2", "double_blocks_3_txt_attn_proj"),
      ("diffusion_model.single_blocks.7.processor.proj_lora", "single_blocks_7_linear2"),
      ("single_blocks.7.processor.qkv_lora", "single_blocks_7_linear1_qkv_rows"),
    ])
  func xlabs(name: String, path: String) {
    #expect(AdapterFormat.xlabs.dialect.key(of: name) == TargetKey(.denoiser, path))
  }

  @Test("targets are totalled by the part of the network they are in")
  func blocks() {
    #expect(TargetKey(.denoiser, "down_blocks_1_attentions_0_proj_in").block == "down_blocks.1")
    #expect(TargetKey(.denoiser, "mid_block_attentions_0_proj_in").block == "mid_block")
    #expect(TargetKey(.denoiser2, "double_blocks_7_img_attn_qkv").block == "double_blocks.7")
    #expect(TargetKey(.denoiser, "conv_in").block == "other")
    #expect(TargetKey(.textEncoder2, "encoder_layers_0_mlp_fc1").block == "text encoder 2")
    #expect("\(TargetKey(.textEncoder1, "x"))" == "textEncoder1.x")
    #expect(
      TargetKey(.denoiser, "b") < TargetKey(.textEncoder1, "a") && TargetKey(.denoiser, "a") < TargetKey(.denoiser, "b")
    )
  }

  @Test(
    "a tensor's name is taken apart into module and role",
    arguments: [
      ("a.lora_down.weight", "a", Role.down), ("a.lora_up.weight", "a", .up), ("a.lora_mid.weight", "a", .mid),
      ("a.alpha", "a", .alpha),
      ("a.scale", "a", .scale), ("a.b.lora_A.weight", "a.b", .down), ("a.b.lora_B.default.weight", "a.b", .up),
      ("a.b.lora_A.style", "a.b", .down),
      ("a.b.lora_A", "a.b", .down), ("a.lora.down.weight", "a", .down),
      ("a.processor.to_q_lora.up.weight", "a.processor.to_q", .up),
      ("a.q_proj.lora_linear_layer.up.weight", "a.q_proj", .up), ("unet:12:up", "unet:12", .up),
      ("text_encoder:0:down", "text_encoder:0", .down),
      ("double_blocks.0.processor.qkv_lora1.down.weight", "double_blocks.0.processor.qkv_lora1", .down),
      ("a.hada_w1_a", "a", .other(.loha)), ("a.lokr_w1", "a", .other(.lokr)), ("a.dora_scale", "a", .other(.dora)),
      ("a.lora_magnitude_vector.default.weight", "a", .other(.dora)), ("a.diff_b", "a", .other(.full)),
      ("a.oft_blocks.3", "a", .other(.oft)),
      ("a.lora_B.bias", "a", .other(.bias)), ("a.lora_embedding_A.default", "a", .other(.embedding)),
      ("a.w_norm", "a", .other(.norm)),
    ] as [(String, String, Role)])
  func grammar(name: String, module: String, role: Role) throws {
    let parsed = try #require(KeyGrammar.parse(name))
    #expect(parsed.module == module && parsed.role == role)
  }

  @Test(
    "names that no trainer writes are not taken apart",
    arguments: ["", "alpha", ".alpha", "a.weight", "unet:x:up", "unet:1:mid", "a.lora_A.bias", "lora_A.weight"])
  func noGrammar(name: String) { #expect(KeyGrammar.parse(name) == nil) }
}
