import Checkpoints
import Factoring
import Models
import Tensors

/// The weights of two checkpoints that belong together, whatever the layout and the dialect of each.
struct ExtractPairing {
  struct Pair {
    let component: Component
    /// With dots, as the dialect of the targets has it.
    let path: String
    let base: NamedWeight
    let tuned: NamedWeight
  }

  private(set) var pairs: [Pair] = []
  /// Weights that only one of them has, with their components.
  private(set) var onlyInBase: [(component: Component, path: String)] = []
  private(set) var onlyInTuned: [(component: Component, path: String)] = []

  /// - Parameter usesOriginalNames: whether the denoiser's weights are wanted under the names of its authors, where one
  ///   of the checkpoints has them; otherwise under diffusers' names.
  init(_ base: Checkpoint, _ tuned: Checkpoint, usesOriginalNames: Bool) {
    for component in Component.allCases where component != .other {
      onlyInBase += Self.unmatched(base, tuned, component)
      onlyInTuned += Self.unmatched(tuned, base, component)
      let names =
        usesOriginalNames && component == .denoiser
        ? Self.originalNames(base) ?? Self.originalNames(tuned) ?? base.names(of: component)
        : base.names(of: component)
      for path in names {
        guard let one = Self.weight(path, component, in: base), !Self.isAside(path, one, in: base),
          let other = Self.weight(path, component, in: tuned)
        else { continue }
        pairs.append(Pair(component: component, path: path, base: one, tuned: other))
      }
    }
  }

  /// A checkpoint's own names of its denoiser, where they are not diffusers'.
  static func originalNames(_ checkpoint: Checkpoint) -> [String]? {
    let stored = checkpoint.weights(of: .denoiser).map(\.name)
    return Set(stored) == Set(checkpoint.names(of: .denoiser)) ? nil : stored
  }

  /// The weight under this name, or under one with a level more or less.
  private static func weight(_ path: String, _ component: Component, in checkpoint: Checkpoint) -> NamedWeight? {
    if let weight = checkpoint.weight(named: WeightName(component, path)) { return weight }
    let flat = path.underscored
    if let weight = checkpoint.weight(flatName: flat, in: component) { return weight }
    guard component.isTextEncoder, flat.hasPrefix("text_model_") else { return nil }
    return checkpoint.weight(flatName: flat.dropping(prefix: "text_model_"), in: component)
  }

  /// What `one` has and `other` has not.
  private static func unmatched(
    _ one: Checkpoint, _ other: Checkpoint, _ component: Component
  ) -> [(component: Component, path: String)] {
    var result: [(component: Component, path: String)] = [], covered: Set<Int> = []
    for path in one.names(of: component) {
      guard let weight = one.weight(named: WeightName(component, path)) else { continue }
      covered.formUnion(weight.pieces.map(\.stored))
      if isAside(path, weight, in: one) || self.weight(path, component, in: other) != nil { continue }
      if one.family.leavesUnused(path) { continue }
      result.append((component, path))
    }
    // What no rule could translate must not get lost.
    for (index, weight) in one.weights.enumerated()
    where weight.component == component && !covered.contains(index) && !isAside(weight.name, weight.entry) {
      result.append((component, weight.name))
    }
    return result
  }

  private static func isAside(_ path: String, _ weight: NamedWeight, in checkpoint: Checkpoint) -> Bool {
    weight.pieces.contains { isAside(path, checkpoint.weights[$0.stored].entry) }
  }

  /// Whether a tensor is no weight: positions, masks, constants.
  private static func isAside(_ path: String, _ entry: WeightFile.Entry) -> Bool {
    switch entry.dtype {
    case .bool, .u8, .i8, .i16, .u16, .i32, .u32, .i64, .u64: return true
    default: break
    }
    if path.hasSuffix(".attn.bias"), entry.shape.rank == 4 { return true }
    return ["position_ids", "logit_scale", "masked_bias", "inv_freq"].contains {
      path.hasSuffix($0)
    }
  }
}
