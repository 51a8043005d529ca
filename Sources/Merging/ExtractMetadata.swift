import Adapters
import Checkpoints
import JSON
import Models
import Tensors

/// The metadata of an extracted adapter: what loaders look for, and the recipe.
struct ExtractMetadata {
  private let plan: ExtractPlan
  private let targets: [ExtractTarget]
  private let alpha: Double
  /// The rank of all targets, where the rule gives them one.
  private let commonRank: Int?
  private let patterns: RankPatterns?

  init(_ decomposition: ExtractDecomposition) {
    plan = decomposition.plan
    targets = decomposition.factored.map { decomposition.plan.targets[$0] }
    alpha = decomposition.sharedAlpha
    let ranks = Set(decomposition.factored.map { decomposition.changes[$0].factors!.rank })
    switch plan.recipe.rule {
    case .ranks(.maxError), .ranks(.size): commonRank = nil
    default: commonRank = ranks.count == 1 && ranks != [0] ? ranks.first : nil
    }
    patterns =
      plan.format.dialect.alphaRule == .metadata && commonRank == nil
      ? RankPatterns(targets.map { ($0.name, $0.dottedPath) }, largest: ranks.max() ?? 1) : nil
  }

  /// How the text grows with the ranks; `nil` where it does not.
  var growth: FileSizeModel.MetadataGrowth? { patterns?.growth }

  /// Everything but hashes, which stand as zeros of their final length.
  ///
  /// - Parameters:
  ///   - ranks: of the targets with factors.
  ///   - inputHashes: SHA-256 of the tensors of each file of the base and of the tuned checkpoint.
  ///   - dataHash: SHA-256 of the output's data section; `legacyHash` its short old form.
  func entries(
    ranks: [Int], inputHashes: [[String]]? = nil, dataHash: String? = nil, legacyHash: String? = nil
  ) -> [(key: String, value: String)] {
    var entries: [(key: String, value: String)] = [("format", "pt")]
    if plan.format.dialect.alphaRule == .tensor {
      entries += [
        ("ss_network_module", "networks.lora"), ("ss_network_dim", commonRank.map(String.init) ?? "Dynamic"),
        ("ss_network_alpha", alpha.alphaText),
      ]
      if let version = plan.family.kohyaVersion { entries.append(("ss_base_model_version", version)) }
      entries += plan.family.kohyaMetadata
      entries += [
        ("sshs_model_hash", dataHash ?? OutputMetadata.unknownHash),
        ("sshs_legacy_hash", legacyHash ?? String(OutputMetadata.unknownHash.prefix(8))),
      ]
    }
    if let architecture = plan.family.architecture, !plan.format.dialect.isFolder {
      entries += [
        ("modelspec.sai_model_spec", "1.0.1"), ("modelspec.architecture", architecture + "/lora"),
        ("modelspec.title", fileName(plan.recipe.tuned)),
        ("modelspec.hash_sha256", "0x" + (dataHash ?? OutputMetadata.unknownHash)),
      ]
    }
    if let patterns { entries.append(("lora_adapter_metadata", patterns.text(ranks: ranks))) }
    entries.append(("lathe.version", ToolVersion.current))
    entries.append(("lathe.recipe", recipeText(inputHashes)))
    return entries
  }

  private func recipeText(_ hashes: [[String]]?) -> String {
    func input(_ checkpoint: Checkpoint, _ index: Int) -> JSONValue {
      .object([
        "file": .string(fileName(checkpoint.path)),
        "content_sha256": .array(
          checkpoint.files.indices.map { .string(hashes?[index][$0] ?? OutputMetadata.unknownHash) }),
      ])
    }
    var fields: [String: JSONValue] = [
      "operation": .string("extract"), "base": input(plan.base, 0), "tuned": input(plan.tuned, 1),
      "rule": .string(plan.recipe.rule.description), "max_rank": .int(plan.recipe.maxRank),
    ]
    if let dtype = plan.recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    return JSONValue.object(fields).compactText
  }
}
