import Tensors

/// What the configuration of a Hugging Face model says about its weights.
struct LanguageModelConfiguration: Sendable {
  let modelType: String
  /// Whether the output layer shares the embedding's weight.
  let tiesEmbeddings: Bool

  /// - Parameter fields: of `config.json`; `nil` when they describe no model of this kind.
  init?(_ fields: [String: JSONValue]) {
    guard let modelType = fields["model_type"]?.string else { return nil }
    self.modelType = modelType
    // The library's default is to tie, for those that have an output layer.
    tiesEmbeddings = fields["tie_word_embeddings"]?.bool ?? Self.tyingTypes.contains(modelType)
  }

  private static let tyingTypes: Set = ["gpt2", "opt", "bloom", "gemma", "gemma2", "gemma3_text", "t5"]

  var isTextEncoder: Bool { ["clip_text_model", "t5", "umt5"].contains(modelType) }

  /// GPT-2 and its kin store matrices as (inputs, outputs), unlike everybody else.
  func storesTransposed(_ module: String) -> Bool {
    if ["gpt_oss", "llama4", "llama4_text"].contains(modelType), module.includes("_experts_") { return true }
    return ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"].contains(modelType)
      && ["c_attn", "c_proj", "c_fc", "q_attn"].contains { module.hasSuffix("_" + $0) }
  }

  /// The weight of an output layer that is stored only as the embedding.
  func weight(flatName: String, in names: [String: NamedWeight]) -> NamedWeight? {
    guard tiesEmbeddings, flatName.hasSuffix("lm_head_weight"), Self.weight(flatName: flatName, in: names) == nil
    else { return nil }
    return [
      "model_embed_tokens_weight", "embed_tokens_weight", "transformer_wte_weight", "wte_weight", "shared_weight",
    ]
    .lazy.compactMap { names[$0] }.first
  }

  /// Levels that one way of saving a model adds to all names and another leaves out.
  private static let wrappers = ["base_model_", "model_", "transformer_", "language_model_", "module_"]

  /// The weight under a name that may have a level more or less than the stored one.
  static func weight(flatName: String, in names: [String: NamedWeight]) -> NamedWeight? {
    for wrapper in wrappers {
      if flatName.hasPrefix(wrapper), let weight = names[flatName.dropping(prefix: wrapper)] { return weight }
      if let weight = names[wrapper + flatName] { return weight }
    }
    return nil
  }
}
