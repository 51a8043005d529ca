/// What llama.cpp calls the modules of language models, which transformers call otherwise.
///
/// Source: llama.cpp (`gguf-py/gguf/tensor_mapping.py`, `conversion/`).
public struct LlamaCppNames: Sendable {
  /// As `general.architecture` has it.
  public let architecture: String
  /// What transformers' `config.json` calls such models (`model_type`).
  let modelTypes: [String]
  /// Whether rows of queries and keys stand in another order there: with the two halves of each head interleaved, as rotary
  /// embeddings of the original Llama want them.
  let reordersHeads: Bool
  /// Modules of a layer, other than the usual ones.
  private let own: [(theirs: String, ours: String)]

  private static let usual: [(theirs: String, ours: String)] = [
    ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"), ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
  ]

  private static let outside: [(theirs: String, ours: String)] = [
    ("token_embd", "model.embed_tokens"), ("output", "lm_head"),
  ]

  private init(
    _ architecture: String, _ modelTypes: [String], reordersHeads: Bool = false,
    own: [(theirs: String, ours: String)] = []
  ) {
    (self.architecture, self.modelTypes, self.reordersHeads, self.own) = (architecture, modelTypes, reordersHeads, own)
  }

  /// Those whose names and orders of rows were compared with llama.cpp's own conversions.
  public static let all: [LlamaCppNames] = [
    LlamaCppNames("llama", ["llama", "mistral", "mixtral"], reordersHeads: true),
    LlamaCppNames("granite", ["granite"], reordersHeads: true),
    LlamaCppNames("smollm3", ["smollm3"], reordersHeads: true),
    LlamaCppNames("qwen2", ["qwen2"]), LlamaCppNames("qwen3", ["qwen3"]),
    LlamaCppNames("qwen3moe", ["qwen3_moe"], own: [("ffn_gate_inp", "mlp.gate")]),
    LlamaCppNames("gemma", ["gemma"]), LlamaCppNames("gemma2", ["gemma2"]),
    LlamaCppNames("gemma3", ["gemma3_text", "gemma3"]), LlamaCppNames("olmo2", ["olmo2"]),
    LlamaCppNames("cohere2", ["cohere2"]),
    LlamaCppNames("phi3", ["phi3"], own: [("attn_qkv", "self_attn.qkv_proj"), ("ffn_up", "mlp.gate_up_proj")]),
    LlamaCppNames("gpt-oss", ["gpt_oss"]),
  ]

  /// Names for an architecture, as llama.cpp's files call it.
  public init?(architecture: String) {
    guard let found = Self.all.first(where: { $0.architecture == architecture }) else { return nil }
    self = found
  }

  /// Names for a model, as transformers' configuration calls its type.
  public init?(modelType: String) {
    guard let found = Self.all.first(where: { $0.modelTypes.contains(modelType) }) else { return nil }
    self = found
  }

  /// Whether a tensor's name is one of llama.cpp's: `blk.0.attn_q.weight`, `enc.blk.0.attn_q.weight`.
  public static func isKnown(_ name: String) -> Bool {
    ["blk.0.", "enc.blk.0.", "dec.blk.0."].contains(where: name.hasPrefix)
  }

  /// Whether rows of queries and keys stand in another order there than in the model that such a file is made from.
  public var reordersRows: Bool { reordersHeads }

  /// `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`; `nil` for what no adapter changes, such as norms.
  public func weight(of name: String) -> String? {
    for suffix in [".weight", ".bias"] where name.hasSuffix(suffix) {
      return module(of: name.dropping(suffix: suffix)).map { $0 + suffix }
    }
    return nil
  }

  private var layer: [(theirs: String, ours: String)] {
    own + Self.usual.filter { usual in !own.contains { $0.theirs == usual.theirs } }
  }

  /// Whether a module's rows are in llama.cpp's own order there.
  ///
  /// - Parameter module: as transformers calls it.
  public func reordersRows(of module: String) -> Bool {
    reordersHeads && (Self.isOfQueries(module) || Self.isOfKeys(module))
  }

  /// Whether a module makes queries, of which there are as many heads as the model has.
  public static func isOfQueries(_ module: String) -> Bool { module.hasSuffix("self_attn.q_proj") }
  private static func isOfKeys(_ module: String) -> Bool { module.hasSuffix("self_attn.k_proj") }

  /// `blk.3.attn_q` → `model.layers.3.self_attn.q_proj`
  public func module(of name: String) -> String? {
    if let found = Self.outside.first(where: { $0.theirs == name }) { return found.ours }
    let words = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == "blk", let number = Int(words[1]), number >= 0 else { return nil }
    return layer.first { $0.theirs == words[2] }.map { "model.layers.\(number).\($0.ours)" }
  }

  /// `model.layers.3.self_attn.q_proj` → `blk.3.attn_q`; a model that also sees has a level more.
  public func name(of module: String) -> String? {
    var module = module
    for prefix in ["model.language_model.", "language_model.model."] where module.hasPrefix(prefix) {
      module = "model." + module.dropFirst(prefix.count)
    }
    if module.hasPrefix("language_model.") { module = String(module.dropFirst("language_model.".count)) }
    if let found = Self.outside.first(where: { $0.ours == module }) { return found.theirs }
    guard module.hasPrefix("model.layers.") else { return nil }
    let words = module.dropFirst("model.layers.".count).split(separator: ".", maxSplits: 1)
    guard words.count == 2, let number = Int(words[0]), number >= 0 else { return nil }
    return layer.first { $0.ours == words[1] }.map { "blk.\(number).\($0.theirs)" }
  }
}
