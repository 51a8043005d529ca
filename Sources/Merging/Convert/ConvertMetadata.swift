import Adapters
import Checkpoints

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
    let adapters = plan.adapters, zeros = OutputMetadata.unknownHash
    var entries: [(key: String, value: String)] = []
    for adapter in adapters {
      for entry in adapter.metadata where !entries.contains(where: { $0.key == entry.key }) && !isReplaced(entry) {
        entries.append(entry)
      }
    }
    if entries.isEmpty { entries.append(("format", "pt")) }
    func has(_ key: String) -> Bool { adapters.contains { $0[metadata: key] != nil } }
    if has("ss_network_dim") || plan.format == .kohya {
      let ranks = Set(targets.map(\.rank)), alphas = Set(targets.map { $0.scale * Double($0.alphaRank) })
      entries.append(("ss_network_dim", ranks.count == 1 ? "\(ranks.first!)" : "Dynamic"))
      entries.append(("ss_network_alpha", alphas.count == 1 ? alphas.first!.shortText : "Dynamic"))
    }
    if plan.format == .kohya, !has("ss_network_module") { entries.append(("ss_network_module", "networks.lora")) }
    if plan.format == .kohya || has("sshs_model_hash") {
      entries.append(("sshs_model_hash", dataHash ?? zeros))
      entries.append(("sshs_legacy_hash", legacyHash ?? String(zeros.prefix(8))))
    }
    if has("modelspec.hash_sha256") { entries.append(("modelspec.hash_sha256", "0x" + (dataHash ?? zeros))) }
    if plan.format == .cloneofsimo {
      for target in targets { entries.append(("\(target.name):rank", String(target.rank))) }
    }
    if plan.format == .diffusers, Set(targets.map(\.rank)).count > 1 {
      let patterns = RankPatterns(
        targets.map { ($0.name, $0.dottedPath) }, largest: targets.map(\.rank).max()!)
      if let patterns { entries.append(("lora_adapter_metadata", patterns.text(ranks: targets.map(\.rank)))) }
    }
    entries.append(("lathe.version", ToolVersion.current))
    entries.append(("lathe.recipe", recipeText(inputHashes)))
    return entries
  }

  /// The metadata of a textual inversion that was bundled with the adapter.
  func entries(of embedding: ConvertPlan.Embedding, inputHashes: [String]) -> [(key: String, value: String)] {
    [
      ("format", "pt"), ("name", embedding.token), ("lathe.version", ToolVersion.current),
      ("lathe.recipe", recipeText(inputHashes)),
    ]
  }

  /// Entries of the input that describe its old factors, or tensors that have left the file.
  private func isReplaced(_ entry: (key: String, value: String)) -> Bool {
    let described = [
      "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_network_dim", "ss_network_alpha",
      "lora_adapter_metadata",
    ]
    let isNumbered = entry.key.hasPrefix("unet:") || entry.key.hasPrefix("text_encoder:")
    return described.contains(entry.key) || entry.key.hasPrefix("lathe.") || entry.value == "<embed>"
      || (isNumbered && entry.key.hasSuffix(":rank"))
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
    if plan.recipe.normalises { fields["normalise"] = .bool(true) }
    if let dtype = plan.recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    return JSONValue.object(fields).compactText
  }
}
