/// A language model's weights by what is left of their names without the levels that one way of saving a model adds and another
/// leaves out.
///
/// The library that trains adapters has renamed its modules over time: what was saved as `language_model.model.layers…` or
/// `model.layers…` is `model.language_model.layers…` in the model at hand, and files keep the old names. A name that
/// several weights have a right to stands for none.
///
/// Source: transformers, `conversion_mapping.py`.
struct CoreNames: Sendable {
  private var names: [String: [(name: String, weight: NamedWeight)]] = [:]

  /// - Parameter weights: by their names with underscores for dots.
  init(_ weights: [String: NamedWeight]) {
    for name in weights.keys.sorted() {
      let core = Self.core(of: name), weight = weights[name]!
      // The same weight may have names in two dialects.
      if names[core]?.contains(where: { $0.weight.pieces == weight.pieces }) != true {
        names[core, default: []].append((name, weight))
      }
    }
  }

  /// The weights that `flatName` may mean, sorted by their names.
  func weights(_ flatName: String) -> [(name: String, weight: NamedWeight)] { names[Self.core(of: flatName)] ?? [] }

  /// Levels that all names below have, or none.
  private static let levels = ["base_model_", "model_", "transformer_", "language_model_", "module_", "thinker_"]

  /// Networks for pictures and sound in which a level below was left out later.
  private static let towers = ["vision_tower_", "image_tower_"]
  private static let towerLevel = "vision_model_"

  /// Modules that were renamed, wherever they stand.
  private static let renamings = [
    ("encoder_layer_", "layers_"), ("_attention_attention_query_", "_attention_q_proj_"),
    ("_attention_attention_key_", "_attention_k_proj_"), ("_attention_attention_value_", "_attention_v_proj_"),
    ("_attention_output_dense_", "_attention_o_proj_"), ("_intermediate_dense_", "_mlp_fc1_"),
    ("_output_dense_", "_mlp_fc2_"), ("_block_sparse_moe_", "_mlp_"), ("embed_out_", "lm_head_"),
  ]

  private static func core(of flatName: String) -> String {
    var name = flatName
    while let level = levels.first(where: { name.hasPrefix($0) && name.utf8.count > $0.utf8.count }) {
      name = name.dropping(prefix: level)
    }
    for tower in towers where name.hasPrefix(tower + towerLevel) {
      name = tower + name.dropping(prefix: tower + towerLevel)
    }
    for (old, new) in renamings where name.includes(old) {
      name = name.split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
    return name
  }
}
