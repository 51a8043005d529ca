import Adapters
import Factoring
import Models
import Spectra

/// How the targets of a merge come together and what they are called, whatever dialects the adapters speak.
///
/// A name that an adapter of the output's dialect has is kept. Any other comes from the family's name map: a name that no map
/// knows is an error, for nobody would read it.
struct MergeNames {
  let format: AdapterFormat
  private let family: Family
  private let adapters: [Adapter]
  private let naming: OutputNaming
  private let places: ModulePlaces
  /// Whose module names the output has.
  private let layout: ModuleNames.Dialect
  /// Whether the output's dialect has only the names that its adapters had.
  private var keepsNames: Bool { format.dialect.keepsNames }

  init(_ recipe: RefactorRecipe, _ adapters: [Adapter], format: AdapterFormat, family: Family) {
    (self.format, self.family, self.adapters) = (format, family, adapters)
    let components = Set(adapters.flatMap { $0.targets.map(\.key.component) })
    places = ModulePlaces(family: family, components: components)
    let first = recipe.format == nil ? adapters.first { $0.format == format } : nil
    layout = Self.layout(of: first, places) ?? format.dialect.layout(in: family)
    var naming = OutputNaming(format: format, family: family, adapters: adapters)
    // Trainers that have diffusers' names with underscores have beginnings of their own before them.
    if layout == .diffusers, family.hasTransformer {
      let beginnings = ["lora_transformer_", "lycoris_"]
      naming.setting.flatPrefix =
        beginnings.first { beginning in first?.targets.contains { $0.name.hasPrefix(beginning) } == true }
        ?? naming.setting.flatPrefix
    }
    self.naming = naming
  }

  /// Whose names most of an adapter's targets have; `nil` where they do not tell.
  private static func layout(of adapter: Adapter?, _ places: ModulePlaces) -> ModuleNames.Dialect? {
    var difference = 0
    for target in adapter?.targets ?? [] where !target.key.component.isTextEncoder {
      switch places.layout(of: target) {
      case .original: difference += 1
      case .diffusers: difference -= 1
      case nil: break
      }
    }
    return difference > 0 ? .original : difference < 0 ? .diffusers : nil
  }

  /// The targets of all adapters as the output will have them.
  func groups() throws(FactoringError) -> [TargetPairing.Group] {
    let (pairing, fault) = TargetPairing.pairing(adapters, in: keepsNames ? nil : layout)
    if let fault {
      let missing = fault.missing.isEmpty ? "some parts" : fault.missing.joined(separator: ", ")
      throw FactoringError(
        .noNameInFamily(
          target: fault.target.name, format: format,
          reason: "the rows of \(missing) are not known, which its projection has too"),
        path: adapters[fault.adapter].path)
    }
    try requireFamily(for: pairing.groups)
    return pairing.groups
  }

  /// Refuses adapters of several dialects of which no two targets meet, where several families may tell what is the same: they would
  /// stand beside each other, each under names that the other's program does not know.
  private func requireFamily(for groups: [TargetPairing.Group]) throws(FactoringError) {
    guard family == .unknown, Set(adapters.map(\.format)).count > 1,
      let open = adapters.first(where: { $0.candidates.count > 1 }),
      groups.allSatisfy({ Set($0.members.map(\.adapter)).count == 1 })
    else { return }
    throw FactoringError(.openFamily(open.candidates), path: open.path)
  }

  /// A target's name and tensor names.
  ///
  /// - Returns: `nil` where the format cannot spell it.
  /// - Throws: `FactoringError.noNameInFamily` where the family has no such module.
  func names(
    for group: TargetPairing.Group
  ) throws(FactoringError) -> (module: String, tensors: Target.TensorNames)? {
    if let own = ownMember(of: group) { return naming.names(for: own.key, like: own) }
    let first = group.members[0].target
    guard family.hasNames else {
      return group.members.lazy.compactMap { naming.names(for: naming.key(of: group.key), like: $0.target) }.first
    }
    let (key, module) = try spelling(of: group, like: first)
    return naming.names(for: key, dottedPath: module)
  }

  /// The name of a bias, or of a norm's weight.
  ///
  /// - Returns: `nil` where the format has no such tensors.
  func vectorName(for group: TargetPairing.Group) throws(FactoringError) -> String? {
    if let own = ownMember(of: group) {
      return naming.vectorName(for: own.key, like: own, dottedPath: own.dottedPath, isOwn: true)
    }
    let first = group.members[0].target
    guard family.hasNames else {
      return naming.vectorName(
        for: naming.key(of: group.key), like: first, dottedPath: first.dottedPath, isOwn: true)
    }
    let (key, module) = try spelling(of: group, like: first)
    return naming.vectorName(for: key, like: first, dottedPath: module, isOwn: false)
  }

  /// The target of an adapter in the output's dialect whose name means just what the group is.
  private func ownMember(of group: TargetPairing.Group) -> Target? {
    group.members.first { adapters[$0.adapter].format == format && $0.target.key.path == group.key.path }?.target
  }

  private func spelling(
    of group: TargetPairing.Group, like target: Target
  ) throws(FactoringError) -> (TargetKey, module: String) {
    if let module = group.module { return (group.key, module) }
    // Stable Diffusion's UNets and text encoders, whose keys are of one spelling.
    let pieces = places.pieces(of: target, in: format.dialect.layout(in: Family.unknown.namesake))
    guard let module = pieces?.first?.module else {
      throw FactoringError(
        .noNameInFamily(
          target: target.name, format: format, reason: "no module of this name is known in \(family.name)"),
        path: adapters[group.members[0].adapter].path)
    }
    return (naming.key(of: group.key), module)
  }
}
