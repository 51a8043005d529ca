import JSON
import Tensors
import Testing

@testable import Adapters

/// What the sources of trainers say that their files hold; see `Trainer.all`.
@Suite struct TrainerTests {
  struct Sample: Sendable, CustomTestStringConvertible {
    let trainer: String?
    var module = "lora_unet_blocks_0_self_attn_q"
    var endings = [".lora_down.weight", ".lora_up.weight"]
    var metadata: [String: String] = [:]
    var hasConfiguration = false
    var testDescription: String { trainer ?? "nobody" }
  }

  static let samples: [Sample] = [
    Sample(
      trainer: "ai-toolkit", module: "diffusion_model.blocks.0.self_attn.q",
      endings: [".lora_A.weight", ".lora_B.weight"],
      metadata: [
        "format": "pt", "name": "style", "version": "1.0", "training_info": #"{"step": 500, "epoch": 1}"#,
        "software": #"{"name": "ai-toolkit", "repo": "https://github.com/ostris/ai-toolkit", "version": "0.7.21"}"#,
      ]),
    Sample(trainer: "OneTrainer", metadata: ["ot_branch": "master", "ot_revision": "23df383", "ot_config": "{}"]),
    Sample(
      trainer: "musubi-tuner",
      metadata: ["ss_network_module": "networks.lora_wan", "ss_network_dim": "4", "ss_base_model_version": "wan2.1"]),
    Sample(
      trainer: "musubi-tuner",
      metadata: ["ss_network_module": "networks.lora", "ss_gradient_checkpointing_cpu_offload": "False"]),
    Sample(
      trainer: "sd-scripts",
      metadata: ["ss_network_module": "networks.lora_flux", "ss_sd_scripts_commit_hash": "48d368fa"]),
    Sample(
      trainer: "AnimaLoraStudio",
      metadata: [
        "ss_network_module": "lycoris.kohya", "ss_network_dim": "4", "ss_network_alpha": "4",
        "ss_network_args": #"{"algo": "lokr", "factor": 8, "weight_decompose": false, "rs_lora": false}"#,
      ]),
    Sample(
      trainer: "SimpleTuner", module: "transformer.blocks.0.attn.to_q", endings: [".lora_A.weight", ".lora_B.weight"],
      metadata: [
        "modelspec.sai_model_spec": "1.0.1", "modelspec.implementation": "diffusers", "global_step": "500",
      ]),
    Sample(
      trainer: "diffusion-pipe", module: "diffusion_model.blocks.0.self_attn.q",
      endings: [".lora_A.weight", ".lora_B.weight"], metadata: ["format": "pt"], hasConfiguration: true),
    Sample(
      trainer: "DiffSynth-Studio", module: "blocks.0.self_attn.q",
      endings: [".lora_A.default.weight", ".lora_B.default.weight"]),
    Sample(trainer: nil, metadata: ["ss_network_module": "networks.lora", "format": "pt"]),
    Sample(trainer: nil, metadata: ["modelspec.sai_model_spec": "1.0.0", "modelspec.implementation": "sgm"]),
  ]

  @Test("a file's trainer is told by what its code writes, and its targets are read", arguments: samples)
  func names(_ sample: Sample) throws {
    let down = Tensor([Double](repeating: 1, count: 8), shape: [2, 4], dtype: .f32)
    let up = Tensor([Double](repeating: 1, count: 12), shape: [6, 2], dtype: .f32)
    let adapter = try Adapter(
      tensors: [(sample.module + sample.endings[0], down), (sample.module + sample.endings[1], up)],
      metadata: sample.metadata.map { ($0.key, $0.value) },
      configuration: sample.hasConfiguration ? .object(["peft_type": .string("LORA"), "r": .int(2)]) : nil)
    #expect(adapter.program == sample.trainer)
    #expect(adapter.targets.count == 1 && adapter.unknown.isEmpty)
  }
}
