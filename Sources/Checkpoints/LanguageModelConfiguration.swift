import JSON
import Tensors

/// What the configuration of a Hugging Face model says about its weights.
struct LanguageModelConfiguration: Sendable {
  let modelType: String
  /// Whether the output layer shares the embedding's weight.
  let tiesEmbeddings: Bool
  /// How many heads make queries, and how many keys, where it tells.
  let heads: (queries: Int, keys: Int)?

  /// - Parameter fields: of `config.json`; `nil` when they describe no model of this kind.
  init?(_ fields: [String: JSONValue]) {
    guard let modelType = fields["model_type"]?.string else { return nil }
    self.modelType = modelType
    let text = fields["text_config"]?.object ?? fields
    func count(_ field: String) -> Int? { text[field]?.double.flatMap { Int(exactly: $0) } }
    let queries = count("num_attention_heads")
    heads = queries.map { ($0, count("num_key_value_heads") ?? $0) }
    // The library's default is to tie, for those that have an output layer.
    // A model that sees has a configuration of its language model inside.
    tiesEmbeddings =
      fields["tie_word_embeddings"]?.bool ?? fields["text_config"]?.object?["tie_word_embeddings"]?.bool
      ?? Self.tyingTypes.contains(modelType)
  }

  private static let tyingTypes: Set = [
    "gpt2", "opt", "bloom", "gemma", "gemma2", "gemma3_text", "gemma3", "paligemma", "t5",
  ]

  var isTextEncoder: Bool { ["clip_text_model", "t5", "umt5"].contains(modelType) }

  /// GPT-2 and its kin store matrices as (inputs, outputs), unlike everybody else.
  func storesTransposed(_ module: String) -> Bool {
    if modelType == "gpt_oss", module.includes("_experts_") { return true }
    return ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"].contains(modelType)
      && ["c_attn", "c_proj", "c_fc", "q_attn"].contains { module.hasSuffix("_" + $0) }
  }

  /// The weight of an output layer that is stored only as the embedding.
  ///
  /// - Parameter cores: the model's weights; none of them is what `flatName` says.
  func weight(flatName: String, in cores: CoreNames) -> NamedWeight? {
    guard tiesEmbeddings, flatName.hasSuffix("lm_head_weight") else { return nil }
    let embeddings = ["embed_tokens_weight", "wte_weight", "shared_weight"]
    for name in embeddings.map({ cores.weights($0) }) where name.count == 1 { return name[0].weight }
    return nil
  }
}
