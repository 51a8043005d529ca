import Adapters
import ArgumentParser
import Checkpoints

/// `--base` of commands that work on adapters alone, unless a target's delta depends on the weight that it changes.
struct BaseOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The base checkpoint, for targets whose delta depends on it: DoRA, GLoRA, OFT, BOFT, IA3 and others.",
      valueName: "path"))
  var base: String?

  var binding: BaseBinding { BaseBinding(path: base) }
}

/// Adapters with the deltas that a base gives them.
struct BaseBinding {
  let path: String?

  static let unused = "--base: no target depends on it; it was not read"

  /// The adapters with all deltas that the base gives them.
  func bind(_ adapters: [Adapter]) throws -> [Adapter] {
    guard let path, adapters.contains(where: { !$0.dependents.isEmpty }) else { return adapters }
    let checkpoint = try Checkpoint(path: path)
    return try adapters.map { try $0.bound(to: checkpoint).adapter }
  }

  /// What to say of a base that is not needed.
  func warnings(_ adapters: [Adapter]) -> [String] {
    path != nil && adapters.allSatisfy(\.dependents.isEmpty) ? [Self.unused] : []
  }
}
