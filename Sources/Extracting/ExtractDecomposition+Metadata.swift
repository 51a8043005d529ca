import Adapters
import Checkpoints
import Factoring
import Files
import JSON
import Models
import Tensors

extension ExtractDecomposition {
  /// The metadata of the output: what loaders look for, and the recipe.
  var metadata: OutputMetadata {
    let targets = factored.map { plan.targets[$0] }, dialect = plan.format.dialect, family = plan.family
    var metadata = OutputMetadata(dialect, recipe: plan.recipeFields)
    metadata.set("format", "pt")
    if dialect.alphaRule == .tensor {
      metadata.set("ss_network_module", "networks.lora")
      metadata.tellNetwork(rank: commonRank, alpha: sharedAlpha.alphaText)
      if let version = family.kohyaVersion { metadata.set("ss_base_model_version", version) }
      for (key, value) in family.kohyaMetadata { metadata.set(key, value) }
      metadata.tellHashes()
    }
    if let architecture = family.architecture, !dialect.isFolder {
      metadata.set("modelspec.sai_model_spec", "1.0.1")
      metadata.set("modelspec.architecture", architecture + "/lora")
      metadata.set("modelspec.title", fileName(plan.recipe.tuned))
      metadata.tellModelspecHash()
    }
    if commonRank == nil {
      let largest = factored.map { changes[$0].factors!.rank }.max() ?? 1
      metadata.tellRanks(by: RankPatterns(targets.map { ($0.name, $0.dottedPath) }, largest: largest))
    }
    return metadata
  }

  /// The rank of all targets, where the rule gives them one.
  private var commonRank: Int? {
    switch plan.recipe.rule {
    case .ranks(.maxError), .ranks(.size): return nil
    default:
      let ranks = Set(factored.map { changes[$0].factors!.rank })
      return ranks.count == 1 && ranks != [0] ? ranks.first : nil
    }
  }
}

extension ExtractPlan {
  /// SHA-256 of the data of each checkpoint's files.
  var inputHashes: [[String]] {
    [base, tuned].map { $0.files.map { ContentHash.sha256(streaming: $0.contents.data) } }
  }

  func recipeFields(_ hashes: RecipeHashes) -> [String: JSONValue] {
    func input(_ checkpoint: Checkpoint, _ index: Int) -> JSONValue {
      .object([
        "file": .string(fileName(checkpoint.path)),
        "content_sha256": hashes.ofFiles(checkpoint.files.count, ofInput: index),
      ])
    }
    var fields: [String: JSONValue] = [
      "operation": .string("extract"), "base": input(base, 0), "tuned": input(tuned, 1),
      "rule": .string(recipe.rule.description), "max_rank": .int(recipe.maxRank),
    ]
    if let dtype = recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    return fields
  }
}
