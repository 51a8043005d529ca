import Adapters
import JSON
import Tensors

/// The metadata of the adapter to be written: the training's own, brought up to date, and the recipe.
struct OutputMetadata {
  static let unknownHash = String(repeating: "0", count: 64)

  private let plan: RefactorPlan
  /// What the ranks were chosen by.
  private let rule: RankRule
  /// The rank of all targets, when the rule says so beforehand.
  private let commonRank: Int?
  /// The alpha of all targets, where the format has one.
  private let alpha: Double?
  /// Where the format needs them to tell ranks apart.
  private let patterns: RankPatterns?

  init(plan: RefactorPlan, rule: RankRule, commonRank: Int?, alpha: Double?) {
    (self.plan, self.rule, self.commonRank, self.alpha) = (plan, rule, commonRank, alpha)
    patterns = plan.format.dialect.alphaRule == .metadata && commonRank == nil ? RankPatterns(plan.targets) : nil
  }

  /// How the text grows with the ranks; `nil` where it does not.
  var growth: FileSizeModel.MetadataGrowth? {
    if let patterns { return patterns.growth }
    guard dialect.numbersTargets else { return nil }
    // `"NAME:rank":"8",` for each target; the entries of the tool stand behind, so every one has its comma.
    let characters = plan.targets.map { $0.name.utf8.count + "\":rank\":\"\",".utf8.count }
    return .init(characters: characters, rankCount: 1, groups: plan.targets.map { _ in 0 }, listCount: 0)
  }

  private var adapters: [Adapter] { plan.adapters }
  private var recipe: RefactorRecipe { plan.recipe }
  private var dialect: any Dialect { plan.format.dialect }

  /// Everything but hashes, which stand as zeros of their final length.
  ///
  /// - Parameters:
  ///   - ranks: the final ranks of the plan's targets, for dialects that write them down.
  ///   - inputHashes: SHA-256 of each input's tensors.
  ///   - dataHash: SHA-256 of the output's data section; `legacyHash` its short old form.
  func entries(
    ranks: [Int], inputHashes: [String]? = nil, dataHash: String? = nil, legacyHash: String? = nil
  ) -> [(key: String, value: String)] {
    var list = MetadataList()
    for adapter in adapters { list.add(adapter.metadata) { key, _ in !isReplaced(key) } }
    if adapters.allSatisfy(\.metadata.isEmpty) { list.set("format", "pt") }
    func set(_ key: String, _ value: String) { list.set(key, value) }
    func has(_ key: String) -> Bool { adapters.contains { $0[metadata: key] != nil } }

    if has("ss_network_dim") || dialect.alphaRule == .tensor {
      set("ss_network_dim", commonRank.map(String.init) ?? "Dynamic")
      if let alpha { set("ss_network_alpha", alpha.alphaText) }
    }
    if dialect.alphaRule == .tensor, !has("ss_network_module") || plan.leavesFamily {
      set("ss_network_module", "networks.lora")
    }
    if dialect.alphaRule == .tensor || has("sshs_model_hash") {
      set("sshs_model_hash", dataHash ?? Self.unknownHash)
      set("sshs_legacy_hash", legacyHash ?? String(Self.unknownHash.prefix(8)))
    }
    if has("modelspec.hash_sha256") { set("modelspec.hash_sha256", "0x" + (dataHash ?? Self.unknownHash)) }
    if recipe.operation == .merge, has("modelspec.sai_model_spec") {
      set("modelspec.merged_from", adapters.map { fileName($0.path) }.joined(separator: ", "))
    }
    if dialect.numbersTargets {
      for (target, rank) in zip(plan.targets, ranks) where rank > 0 { set("\(target.name):rank", String(rank)) }
    }
    if let patterns { set("lora_adapter_metadata", patterns.text(ranks: ranks)) }
    set("lathe.version", ToolVersion.current)
    set("lathe.recipe", recipeText(inputHashes: inputHashes))
    return list.entries
  }

  /// Entries of the input that describe its old factors.
  private func isReplaced(_ key: String) -> Bool {
    [
      "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_network_dim", "ss_network_alpha",
      "lora_adapter_metadata",
    ]
    .contains(key) || (plan.leavesFamily && ["ss_network_module", "ss_network_args"].contains(key))
      || key.hasPrefix("lathe.") || (dialect.numbersTargets && key.hasSuffix(":rank"))
      || (recipe.operation == .merge && ["modelspec.title", "ss_output_name", "name"].contains(key))
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
      "operation": .string(recipe.operation.rawValue), "inputs": .array(inputs),
      "rule": .string(rule.description),
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
package func fileName(_ path: String) -> String {
  path.split(separator: "/").last.map(String.init) ?? path
}
