import Adapters
import Safetensors
import Tensors

/// The metadata of the adapter to be written: the training's own, brought up to date, and the recipe.
struct OutputMetadata {
  /// The version that outputs carry.
  static let toolVersion = "0.1.0"

  private static let unknownHash = String(repeating: "0", count: 64)

  let adapters: [Adapter]
  let recipe: RefactorRecipe
  let format: AdapterFormat
  /// Whether all targets have one rank and which, when the rule says so beforehand.
  let commonRank: Int?

  /// Everything but hashes, which stand as zeros of their final length.
  ///
  /// - Parameters:
  ///   - ranks: the final ranks, for the dialect that writes them down.
  ///   - inputHashes: SHA-256 of each input's tensors.
  ///   - dataHash: SHA-256 of the output's data section; `legacyHash` its short old form.
  func entries(
    ranks: [(name: String, rank: Int)], inputHashes: [String]? = nil, dataHash: String? = nil, legacyHash: String? = nil
  ) -> [(key: String, value: String)] {
    var entries: [(key: String, value: String)] = []
    for adapter in adapters {
      for entry in adapter.metadata where !entries.contains(where: { $0.key == entry.key }) && !isReplaced(entry.key) {
        entries.append(entry)
      }
    }
    func set(_ key: String, _ value: String) {
      if let place = entries.firstIndex(where: { $0.key == key }) { entries[place].value = value } else { entries.append((key, value)) }
    }
    func has(_ key: String) -> Bool { adapters.contains { $0[metadata: key] != nil } }

    if has("ss_network_dim") || format == .kohya {
      set("ss_network_dim", commonRank.map(String.init) ?? "Dynamic")
      set("ss_network_alpha", commonAlpha ?? "Dynamic")
    }
    if format == .kohya, !has("ss_network_module") { set("ss_network_module", "networks.lora") }
    if format == .kohya || has("sshs_model_hash") {
      set("sshs_model_hash", dataHash ?? Self.unknownHash)
      set("sshs_legacy_hash", legacyHash ?? String(Self.unknownHash.prefix(8)))
    }
    if has("modelspec.hash_sha256") { set("modelspec.hash_sha256", "0x" + (dataHash ?? Self.unknownHash)) }
    if recipe.operation == .merge, has("modelspec.sai_model_spec") {
      set("modelspec.merged_from", adapters.map { fileName($0.path) }.joined(separator: ", "))
    }
    if format == .cloneofsimo { for (name, rank) in ranks { set("\(name):rank", String(rank)) } }
    if entries.isEmpty { set("format", "pt") }
    set("lathe.version", Self.toolVersion)
    set("lathe.recipe", recipeText(inputHashes: inputHashes))
    return entries
  }

  /// Entries of the input that describe its old factors.
  private func isReplaced(_ key: String) -> Bool {
    ["sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_network_dim", "ss_network_alpha", "lora_adapter_metadata"]
      .contains(key) || key.hasPrefix("lathe.")
      || (recipe.operation == .merge && ["modelspec.title", "ss_output_name", "name"].contains(key))
  }

  /// The alpha that goes with the common rank when every target's scale is the same.
  private var commonAlpha: String? {
    guard let commonRank else { return nil }
    if recipe.operation == .merge { return String(commonRank) }
    let scales = Set(adapters[0].targets.map(\.scale))
    guard scales.count == 1 else { return nil }
    let alpha = scales.first! * Double(commonRank)
    return alpha == alpha.rounded() ? String(Int(alpha)) : String(alpha)
  }

  private func recipeText(inputHashes: [String]?) -> String {
    let inputs = zip(adapters, recipe.inputs).enumerated().map { index, input in
      JSONValue.object([
        "file": .string(fileName(input.0.path)),
        "content_sha256": .string(inputHashes?[index] ?? Self.unknownHash),
        "strength": .number(input.1.strength),
        "text_encoder_strength": .number(input.1.textEncoderStrength),
      ])
    }
    var fields: [String: JSONValue] = [
      "operation": .string(recipe.operation.rawValue), "inputs": .array(inputs), "rule": .string(recipe.rule.description),
      "weigh": .string(recipe.weighing.rawValue),
    ]
    if let dtype = recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    if recipe.isFair { fields["fair"] = .bool(true) }
    if recipe.keepsAllTargets { fields["keep_all_targets"] = .bool(true) }
    if recipe.countsLikeKohya { fields["compat"] = .string("kohya") }
    return JSONValue.object(fields).compactText
  }
}

/// The last part of a path: a stranger's machine is nobody's business.
func fileName(_ path: String) -> String {
  path.split(separator: "/").last.map(String.init) ?? path
}
