import Adapters
import Factoring
import Models
import Spectra

/// Names of modules that a family's lists do not have: no program would read them, so that nothing is written under them.
extension RefactorPlan {
  /// The adapters with targets of modules that exist only.
  ///
  /// A family's lists are of its denoiser, and of text encoders where it is one of Stable Diffusion's: others have adapters for
  /// parts that no list has.
  ///
  /// - Returns: also the names of targets that are left out, where the recipe allows that.
  /// - Throws: `FactoringError.noModule` for the first of them otherwise.
  static func withKnownModules(
    _ adapters: [Adapter], for recipe: RefactorRecipe
  ) throws(FactoringError) -> (adapters: [Adapter], leftOut: [String]) {
    var kept: [Adapter] = [], leftOut: [String] = []
    for adapter in adapters {
      let unknown = unknownModules(of: adapter)
      if let first = unknown.first, !recipe.allowsUnknown {
        throw FactoringError(
          .noModule(target: first.name, family: adapter.family, count: unknown.count), path: adapter.path)
      }
      leftOut += unknown.map {
        "\(adapter.path): \($0.name): no module of this name is known in \(adapter.family.name)"
      }
      let names = Set(unknown.map(\.name))
      kept.append(unknown.isEmpty ? adapter : adapter.keeping { !names.contains($0.name) })
    }
    return (kept, leftOut)
  }

  private static func unknownModules(of adapter: Adapter) -> [Target] {
    let family = adapter.family
    guard family != .unknown, family != .languageModel, family.hasNames else { return [] }
    let listed = adapter.targets.filter { !$0.key.component.isTextEncoder || family.hasUNet }
    let places = ModulePlaces(family: family, components: listed.map(\.key.component))
    return listed.filter { !places.contains($0.key.ofWholeWeight) }
  }
}
