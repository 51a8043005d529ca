import Adapters
import JSON
import Models

/// The metadata of a converted adapter: the training's own, brought up to date, and the recipe.
struct ConvertMetadata {
  let plan: ConvertPlan
  /// Those of the file that the metadata is for.
  let targets: ArraySlice<ConvertTarget>

  /// Everything but hashes, which stand as zeros of their final length.
  ///
  /// - Parameters:
  ///   - inputHashes: SHA-256 of each input's tensors.
  ///   - dataHash: SHA-256 of the output's data section; `legacyHash` its short old form.
  func entries(
    inputHashes: [String]? = nil, dataHash: String? = nil, legacyHash: String? = nil
  ) -> [(key: String, value: String)] {
    let adapters = plan.adapters, dialect = plan.format.dialect, zeros = OutputMetadata.unknownHash
    var list = MetadataList()
    for adapter in adapters { list.add(adapter.metadata) { key, value in !isReplaced(key, value) } }
    if list.isEmpty { list.set("format", "pt") }
    func set(_ key: String, _ value: String) { list.set(key, value) }
    func has(_ key: String) -> Bool { adapters.contains { $0[metadata: key] != nil } }
    if has("ss_network_dim") || dialect.alphaRule == .tensor {
      let ranks = Set(targets.map(\.rank)), alphas = Set(targets.map(\.toldAlpha))
      set("ss_network_dim", ranks.count == 1 ? "\(ranks.first!)" : "Dynamic")
      set("ss_network_alpha", alphas.count == 1 ? alphas.first!.alphaText : "Dynamic")
    }
    if dialect.alphaRule == .tensor, !has("ss_network_module") { set("ss_network_module", "networks.lora") }
    if dialect.alphaRule == .tensor || has("sshs_model_hash") {
      set("sshs_model_hash", dataHash ?? zeros)
      set("sshs_legacy_hash", legacyHash ?? String(zeros.prefix(8)))
    }
    if has("modelspec.hash_sha256") { set("modelspec.hash_sha256", "0x" + (dataHash ?? zeros)) }
    if dialect.numbersTargets {
      for target in targets { set("\(target.name):rank", String(target.rank)) }
    }
    if dialect.alphaRule == .metadata, Set(targets.map(\.rank)).count > 1 {
      let patterns = RankPatterns(
        targets.map { ($0.name, $0.dottedPath) }, largest: targets.map(\.rank).max()!)
      if let patterns { set("lora_adapter_metadata", patterns.text(ranks: targets.map(\.rank))) }
    }
    set("lathe.version", ToolVersion.current)
    set("lathe.recipe", recipeText(inputHashes))
    return list.entries
  }

  /// The metadata of a textual inversion that was bundled with the adapter.
  func entries(of embedding: ConvertPlan.Embedding, inputHashes: [String]) -> [(key: String, value: String)] {
    [
      ("format", "pt"), ("name", embedding.token), ("lathe.version", ToolVersion.current),
      ("lathe.recipe", recipeText(inputHashes)),
    ]
  }

  /// Entries of the input that describe its old factors, or tensors that have left the file.
  private func isReplaced(_ key: String, _ value: String) -> Bool {
    let described = [
      "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_network_dim", "ss_network_alpha",
      "lora_adapter_metadata",
    ]
    let isNumbered = key.hasPrefix("unet:") || key.hasPrefix("text_encoder:")
    return described.contains(key) || key.hasPrefix("lathe.") || value == "<embed>"
      || (isNumbered && key.hasSuffix(":rank"))
  }

  private func recipeText(_ hashes: [String]?) -> String {
    var fields: [String: JSONValue] = [
      "operation": .string("convert"), "to": .string(plan.format.rawValue),
      "inputs": .array(
        plan.adapters.indices.map { index in
          .object([
            "file": .string(fileName(plan.adapters[index].path)),
            "content_sha256": .string(hashes?[index] ?? OutputMetadata.unknownHash),
          ])
        }),
    ]
    if let family = plan.recipe.family { fields["family"] = .string(family.name) }
    if plan.recipe.normalises { fields["normalise"] = .bool(true) }
    if let dtype = plan.recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    return JSONValue.object(fields).compactText
  }
}
