import Adapters
import Factoring
import JSON

extension ConvertPlan {
  /// The metadata of a file of the output: the training's own, brought up to date, and the recipe.
  ///
  /// - Parameter targets: those in the file.
  func metadata(for targets: ArraySlice<ConvertTarget>) -> OutputMetadata {
    var metadata = OutputMetadata(format.dialect, recipe: recipeFields)
    metadata.inherit(from: adapters) { key, value in
      // Tensors that have left the file, and ranks of targets with other numbers.
      value == "<embed>" || ((key.hasPrefix("unet:") || key.hasPrefix("text_encoder:")) && key.hasSuffix(":rank"))
    }
    if metadata.isEmpty { metadata.set("format", "pt") }
    let ranks = Set(targets.map(\.rank)), alphas = Set(targets.map(\.toldAlpha))
    metadata.tellNetwork(
      rank: ranks.count == 1 ? ranks.first : nil, alpha: alphas.count == 1 ? alphas.first!.alphaText : "Dynamic")
    metadata.tellHashes()
    metadata.tellNumberedRanks(of: targets.map(\.name))
    if ranks.count > 1 {
      metadata.tellRanks(by: RankPatterns(targets.map { ($0.name, $0.dottedPath) }, largest: ranks.max()!))
    }
    return metadata
  }

  /// The metadata of a textual inversion that was bundled with the adapter.
  func metadata(of embedding: Embedding) -> OutputMetadata {
    var metadata = OutputMetadata(format.dialect, recipe: recipeFields)
    metadata.set("format", "pt")
    metadata.set("name", embedding.token)
    return metadata
  }

  private func recipeFields(_ hashes: RecipeHashes) -> [String: JSONValue] {
    var fields: [String: JSONValue] = [
      "operation": .string("convert"), "to": .string(format.rawValue),
      "inputs": .array(
        adapters.indices.map { index in
          .object(["file": .string(fileName(adapters[index].path)), "content_sha256": hashes.ofInput(index)])
        }),
    ]
    if let family = recipe.family { fields["family"] = .string(family.name) }
    if recipe.normalises { fields["normalise"] = .bool(true) }
    if let dtype = recipe.dtype { fields["dtype"] = .string(dtype.rawValue) }
    return fields
  }
}
