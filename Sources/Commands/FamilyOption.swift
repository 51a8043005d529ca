import Adapters
public import ArgumentParser
import Checkpoints
public import Models

/// `--family` of commands that work on adapters alone: names and shapes of a small one may fit several models.
struct FamilyOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model's family, where names and shapes do not tell it: lathe families lists them (default: that of --base).",
      valueName: "name"))
  var family: Family?

  /// Opens adapters as ones of the family that is told.
  ///
  /// - Parameter base: a checkpoint that says it otherwise. It is looked at only where names and shapes leave it open.
  func adapters(_ paths: [String], base: String? = nil) throws -> [Adapter] {
    let adapters = try paths.map { try Adapter(path: $0) }
    if let family { return adapters.map { $0.family == family ? $0 : $0.assuming(family) } }
    guard let base, adapters.contains(where: { $0.candidates.count > 1 && $0.family == .unknown }) else {
      return adapters
    }
    let known = try Checkpoint(path: base).family
    return adapters.map { $0.family == .unknown && $0.candidates.contains(known) ? $0.assuming(known) : $0 }
  }

  /// Lines about adapters whose names and shapes say something else.
  func warnings(_ paths: [String]) throws -> [String] {
    guard let family else { return [] }
    return try paths.compactMap { path in
      let own = try Adapter(path: path).family
      return own == .unknown || own == family
        ? nil : "\(path): taken for \(family.withArticle) adapter, as told; names and shapes say \(own.name)"
    }
  }
}

extension Family: ExpressibleByArgument {
  /// Reads a family's name, whatever its capital letters and signs: `flux1`, `Flux.1`; `nil` for an unknown one.
  public init?(argument: String) { self.init(named: argument) }

  /// Of the families whose names are known in both dialects, as they are written here.
  public static var allValueStrings: [String] { withNames.map(\.optionName) }
}
