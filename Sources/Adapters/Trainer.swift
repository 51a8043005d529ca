import JSON

/// A program that trains adapters, and what gives it away in their files.
///
/// One line for each: a sign that all its files have. The first one whose signs are all there has written a file.
struct Trainer: Sendable {
  enum Sign: Sendable {
    /// Metadata has this key.
    case key(String)
    /// Metadata has this key with a value in which the text stands.
    case value(String, contains: String)
    /// A value that begins with one of these, whole words each.
    case module(String, [String])
    case lacks(String)
    /// Some tensor's name has this in it.
    case tensor(String)
    /// A configuration of PEFT's beside the file.
    case configuration
    /// Metadata is empty, or says no more than which library wrote the file.
    case noMetadata
  }

  let name: String
  let signs: [Sign]

  /// Sources: ai-toolkit (`toolkit/metadata.py`), OneTrainer (`DtypeModelSaverMixin.py`), musubi-tuner (`training/trainer_base.py`), sd-scripts
  /// (`train_util.py`), AnimaLoraStudio (`utils/lycoris_adapter.py`, `ortho_adapter.py`), SimpleTuner (`training/save_hooks.py`),
  /// diffusion-pipe (`models/base.py`), DiffSynth-Studio (`diffusion/training_module.py`).
  static let all: [Trainer] = [
    Trainer(name: "ai-toolkit", signs: [.value("software", contains: "\"ai-toolkit\"")]),
    Trainer(name: "OneTrainer", signs: [.key("ot_revision")]), Trainer(name: "OneTrainer", signs: [.key("ot_branch")]),
    Trainer(
      name: "AnimaLoraStudio",
      signs: [
        .module("ss_network_module", ["lycoris.kohya"]), .value("ss_network_args", contains: "\"rs_lora\""),
        .value("ss_network_args", contains: "\"weight_decompose\""), .lacks("ss_learning_rate"),
      ]),
    Trainer(name: "sd-scripts", signs: [.key("ss_sd_scripts_commit_hash")]),
    Trainer(
      name: "musubi-tuner",
      signs: [
        .module(
          "ss_network_module",
          [
            "networks.lora_wan", "networks.lora_framepack", "networks.lora_flux_2", "networks.lora_hv_1_5",
            "networks.lora_qwen_image", "networks.lora_kandinsky", "networks.lora_zimage", "networks.lora_hidream_o1",
            "networks.lora_ideogram4", "networks.lora_krea2",
          ])
      ]),
    // Networks whose names others have too: no other writes down how often its datasets' checkpoints were offloaded.
    Trainer(
      name: "musubi-tuner",
      signs: [.key("ss_gradient_checkpointing_cpu_offload"), .module("ss_network_module", ["networks."])]),
    Trainer(
      name: "SimpleTuner",
      signs: [
        .key("modelspec.sai_model_spec"), .value("modelspec.implementation", contains: "diffusers"),
        .key("global_step"),
      ]),
    Trainer(name: "diffusion-pipe", signs: [.configuration, .tensor("diffusion_model."), .noMetadata]),
    Trainer(name: "DiffSynth-Studio", signs: [.tensor(".lora_A.default.weight"), .noMetadata]),
  ]

  /// The program that wrote a file, where something in it tells.
  static func name(metadata: [String: String], tensors: [String], hasConfiguration: Bool) -> String? {
    all.first { trainer in
      trainer.signs.allSatisfy { sign in
        switch sign {
        case .key(let key): metadata[key] != nil
        case .value(let key, let text): metadata[key]?.includes(text) ?? false
        case .module(let key, let beginnings):
          metadata[key].map { value in beginnings.contains(where: value.hasPrefix) } ?? false
        case .lacks(let key): metadata[key] == nil
        case .tensor(let part): tensors.contains { $0.includes(part) }
        case .configuration: hasConfiguration
        case .noMetadata: metadata.keys.allSatisfy { $0 == "format" }
        }
      }
    }?.name
  }
}
