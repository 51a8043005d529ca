import Adapters
import ArgumentParser
import Checkpoints
import Files

/// `--base` of commands that work on adapters alone, unless a target's delta depends on the weight that it changes.
struct BaseOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The base checkpoint, for targets whose delta depends on it: DoRA, GLoRA, OFT, BOFT, IA3 and others; in merge also to "
        + "weigh errors by.",
      valueName: "path"))
  var base: String?

  var binding: BaseBinding { BaseBinding(path: base) }
}

/// Adapters with the deltas that a base gives them.
struct BaseBinding {
  let path: String?

  static let unused = "--base: no target depends on it; it was not read"
  /// Where spikes are told by the base's weights.
  static let spikesOnly = "--base: no target depends on it; only spikes are told by it"

  /// Adapters whose deltas are all known, and what has none.
  struct Binding {
    var adapters: [Adapter] = []
    /// Of each adapter the whole modules and biases that are no change of a known weight.
    var leftOut: [[WholeWeight]] = []

    /// Whether two adapters have the same left out, so that it is no difference.
    var isSameLeftOut: Bool {
      leftOut.allSatisfy { weights in
        weights.count == leftOut[0].count
          && weights.allSatisfy { weight in
            leftOut[0].contains { $0.key == weight.key && $0.tensor.hasSameBytes(as: weight.tensor) }
          }
      }
    }

    /// A line for each adapter that is not measured whole.
    var notes: [String] {
      zip(adapters, leftOut).filter { !$1.isEmpty }.map { adapter, weights in
        let names = weights.prefix(3).map(\.name).joined(separator: ", ")
        let more = weights.count > 3 ? " and \(weights.count - 3) more" : ""
        return "\(adapter.path): \(names)\(more): put in the place of a weight that is not known: left out of the sums"
      }
    }
  }

  /// The adapters with all deltas that the base gives them.
  ///
  /// Whole modules and biases for which there is no weight are left out of adapters that hold more than these.
  ///
  /// - Parameter opened: the base, where it is open already.
  func bind(_ adapters: [Adapter], opened: Checkpoint? = nil) throws -> Binding {
    let needsBase = adapters.contains { !$0.dependents.isEmpty || !$0.frozen.isEmpty }
    if !needsBase, let path { InputFiles.protect(path) }
    let checkpoint = needsBase ? try opened ?? path.map { try Checkpoint(path: $0) } : nil
    var binding = Binding()
    for adapter in adapters {
      var homeless = adapter.replacements.filter { checkpoint?.weight(for: $0.key) == nil }
      if adapter.targets.isEmpty, homeless.count == adapter.dependents.count { homeless = [] }
      let rest = adapter.removingReplacements(homeless.map(\.name))
      binding.adapters.append(try checkpoint.map { try rest.bound(to: $0).adapter } ?? rest)
      binding.leftOut.append(homeless)
    }
    return binding
  }

  /// What to say of a base that is not needed.
  ///
  /// - Parameter note: what is said.
  func warnings(_ adapters: [Adapter], note: String = Self.unused) -> [String] {
    path != nil && adapters.allSatisfy { $0.dependents.isEmpty && $0.frozen.isEmpty } ? [note] : []
  }
}
