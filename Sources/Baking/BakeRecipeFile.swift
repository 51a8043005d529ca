import Factoring
import Recipes
import Tensors

/// A bake written down in YAML.
///
/// ```yaml
/// adapters:
///   - file: style.safetensors      # relative to this file
///     strength: 0.8
///     text_encoder_strength: 0.5
///     blocks: {IN04: 0.5, M00: 0}  # or a list of 12, 17, 20, 26 or 61 numbers
/// dtype: bf16
/// rounding: shaped
/// ```
public struct BakeRecipeFile: Sendable {
  /// What the file asks for, with the number format checked and the base's place filled in.
  public let recipe: BakeRecipe

  private struct Document: Decodable {
    var adapters: [RecipeEntry]
    var dtype: String?
    var rounding: String?
    var seed: UInt64?
  }

  /// - Parameter base: the checkpoint to bake into.
  /// - Throws: `FileError.missing`, or `RecipeError` for anything that is not understood.
  public init(path: String, base: String) throws {
    let source = try RecipeSource<Document>(path: path, fields: ["adapters", "dtype", "rounding", "seed"])
    var recipe = BakeRecipe(base: base, inputs: try source.inputs(source.document.adapters))
    recipe.dtype = try source.dtype(source.document.dtype)
    if let name = source.document.rounding {
      guard let rounding = Rounding(rawValue: name) else {
        throw source.fault("rounding: expected nearest, stochastic or shaped, found \(name)")
      }
      recipe.rounding = rounding
    }
    recipe.seed = source.document.seed ?? 0
    self.recipe = recipe
  }
}
