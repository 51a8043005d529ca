import Adapters
public import Factoring
import Recipes
import Tensors

/// A merge written down in YAML.
///
/// ```yaml
/// adapters:
///   - file: style.safetensors      # relative to this file
///     strength: 0.8
///   - file: character.safetensors
///     strength: 0.6
///     text_encoder_strength: 0.3
///     blocks: {IN04: 0.5, M00: 0}  # or a list of 12, 17, 20, 26 or 61 numbers
/// size: 40MB                       # or rank, energy, max_error; none for the exact sum
/// dtype: f16
/// ```
public struct MergeRecipeFile: Sendable {
  /// What the file asks for, with names and numbers checked.
  public let recipe: RefactorRecipe
  /// Whether it says what errors count.
  public let saysWeighing: Bool

  private struct Document: Decodable {
    var adapters: [RecipeEntry]
    var rank: Int?
    var conv_rank: Int?
    var energy: Double?
    var max_error: Double?
    var size: String?
    var dtype: String?
    var format: String?
    var weigh: String?
    var fair: Bool?
    var method: String?
    var density: Double?
    var drop_seed: UInt64?
    var protect: [String]?
    var protect_strength: Double?
    var keep_all_targets: Bool?
  }

  private static let fields: Set = [
    "adapters", "rank", "conv_rank", "energy", "max_error", "size", "dtype", "format", "weigh", "fair", "method",
    "density", "drop_seed", "protect", "protect_strength", "keep_all_targets",
  ]

  /// - Throws: `FileError.missing`, or `RecipeError` for anything that is not understood: an unknown field
  ///   is an error, because a misspelled one would otherwise be left out in silence.
  public init(path: String) throws {
    let source = try RecipeSource<Document>(path: path, fields: Self.fields)
    let document = source.document, fault = source.fault, inputs = try source.inputs(document.adapters)
    var recipe = RefactorRecipe(.merge, inputs: inputs, rule: try Self.rule(document, fault))
    recipe.dtype = try source.dtype(document.dtype)
    if let name = document.format {
      guard let format = AdapterFormat(rawValue: name) else {
        throw fault("format: expected kohya, diffusers, peft or native, found \(name)")
      }
      recipe.format = format
    }
    if let name = document.weigh {
      guard let weighing = Weighing(rawValue: name), !weighing.needsMeasures else {
        throw fault("weigh: expected absolute or per-target, found \(name)")
      }
      recipe.weighing = weighing
    }
    if document.fair == true { recipe.method = FairShares() }
    if let method = try Self.method(document, fault) { recipe.method = method }
    recipe.keepsAllTargets = document.keep_all_targets ?? false
    self.recipe = recipe
    saysWeighing = document.weigh != nil
  }

  private static func method(
    _ document: Document, _ fault: (String) -> RecipeError
  ) throws -> (any MergeMethod)? {
    let given: [(field: String, setting: MergeMethods.Setting)] = [
      document.density.map { _ in ("density", .density) }, document.drop_seed.map { _ in ("drop_seed", .seed) },
      document.protect.map { _ in ("protect", .protection) },
      document.protect_strength.map { _ in ("protect_strength", .protection) },
    ].compactMap { $0 }
    let choice = try document.method.map { name in
      guard let choice = MergeMethods.named(name) else {
        throw fault("method: expected \(MergeMethods.all.map(\.name).joined(separator: ", ")), found \(name)")
      }
      return choice
    }
    for (field, setting) in given where choice?.settings.contains(setting) != true {
      let names = MergeMethods.all.filter { $0.settings.contains(setting) }.map(\.name).joined(separator: " or ")
      throw fault("\(field): expected method: \(names) beside it, found \(choice?.name ?? "none")")
    }
    if let density = document.density, !(density > 0 && density <= 1) {
      throw fault("density: expected a number above 0 and at most 1, found \(density)")
    }
    if let strength = document.protect_strength, !(strength >= 0 && strength.isFinite) {
      throw fault("protect_strength: expected a number of at least 0, found \(strength)")
    }
    let files = document.adapters.map(\.file)
    for file in document.protect ?? [] where !files.contains(file) {
      throw fault("protect: expected one of the adapters, found \(file)")
    }
    var settings = MergeMethods.Settings()
    (settings.density, settings.seed) = (document.density, document.drop_seed)
    settings.protection = document.protect_strength
    settings.protected = Set(files.indices.filter { document.protect?.contains(files[$0]) == true })
    if choice?.settings.contains(.protection) == true, settings.protected.isEmpty {
      throw fault("method: expected protect beside \(choice!.name), found none")
    }
    return choice?.make(settings)
  }

  private static func rule(_ document: Document, _ fault: (String) -> RecipeError) throws -> RankRule {
    var rules: [RankRule] = []
    guard document.conv_rank == nil || document.rank != nil else {
      throw fault("conv_rank: expected rank beside it, found none")
    }
    if let rank = document.rank {
      guard rank >= 1, document.conv_rank ?? 1 >= 1 else {
        throw fault("rank: expected at least 1, found \(min(rank, document.conv_rank ?? rank))")
      }
      rules.append(.rank(rank, conv: document.conv_rank))
    }
    if let energy = document.energy { rules.append(.energy(energy)) }
    if let error = document.max_error { rules.append(.maxError(error)) }
    for share in [document.energy, document.max_error] {
      if let share, !(share > 0 && share <= 1) {
        throw fault("expected a number above 0 and at most 1, found \(share)")
      }
    }
    if let size = document.size {
      guard let bytes = ByteCount(size) else { throw fault("size: expected a size such as 20MB, found \(size)") }
      rules.append(.size(bytes))
    }
    guard rules.count <= 1 else {
      throw fault("expected one of rank, energy, max_error and size, found \(rules.count)")
    }
    return rules.first ?? .exact
  }
}
