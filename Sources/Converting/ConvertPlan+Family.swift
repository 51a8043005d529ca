import Adapters
import Factoring
import Models

extension ConvertPlan {
  /// The first known family; of several folders that tell nothing each, what they are together.
  static func family(of sources: [ConvertSource]) -> Family {
    // A text encoder in a folder of its own looks like a language model.
    let known = sources.filter { $0.component == nil || $0.adapter.family != .languageModel }
      .map(\.adapter.family).first { $0 != .unknown }
    if let known { return known }
    let clues = sources.flatMap { source in
      source.adapter.targets.map { FamilyClue(key: source.key(of: $0), inputs: $0.inputs, rows: $0.rows) }
    }
    let found = sources.count == 1 ? sources[0].adapter.candidates : Family.candidates(clues)
    return found.count == 1 ? found[0] : Family.agreeing(found, on: clues.map(\.key)) ?? .unknown
  }

  /// A warning where the family was told against what the adapter looks like, or where a prefix was chosen without it.
  static func familyNote(
    _ recipe: ConvertRecipe, _ sources: [ConvertSource], _ family: Family, _ format: AdapterFormat
  ) -> PlanNote? {
    let own = Self.family(of: sources)
    if let told = recipe.family {
      return own == .unknown || own == told
        ? nil
        : PlanNote(
          "\(recipe.path): converted as \(told.withArticle) adapter, as told; names and shapes say \(own.name)")
    }
    let hasDenoiser = sources.contains { $0.adapter.targets.contains { !$0.key.component.isTextEncoder } }
    guard own == .unknown, hasDenoiser, format.dialect.namesNetworks,
      !sources[0].adapter.format.dialect.namesNetworks
    else {
      return nil
    }
    return PlanNote(
      "\(recipe.path): the model's family is not known; the prefix unet. was chosen because the names are those of Stable "
        + "Diffusion's UNets", remedy: .family)
  }
}
