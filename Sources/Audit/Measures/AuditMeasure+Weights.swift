import Checkpoints
import Tensors

/// With W a weight of the base, D what is added to it before and D' after.
extension AuditMeasure {
  /// ‖D − D'‖ ÷ ‖D‖ over all weights.
  public static let weightError = AuditMeasure(
    "weights.relative_error", title: "relative error of the weights", shortTitle: "error of the weights",
    usualLimit: 0.3, advice: "Keep more: a larger size, a smaller error, or a number format of more digits.",
    from: .weights { weights, _ in
      let worst = weights.entries.max { $0.difference < $1.difference }.flatMap { $0.difference > 0 ? $0 : nil }
      return Reading(
        value: weights.total.relativeError, null: weights.total.roundingError, worst: worst?.name.path)
    }
  ) { value, _ in
    "\(Numbers.percent(min(1, value * value))) of the energy of what is added to the weights is not the same any more."
  }

  /// The same over the weights of the worst block.
  public static let worstBlock = AuditMeasure(
    "weights.worst_block", title: "relative error of the worst block", usualLimit: 0.6,
    advice: "Keep more there: weighing each target by itself spares weak ones.",
    from: .weights { weights, _ in
      let blocks = weights.blocks.filter { $0.total.energyBefore > 0 }
      let worst = blocks.max { $0.total.relativeError < $1.total.relativeError }
      return Reading(
        value: worst?.total.relativeError ?? 0, null: blocks.map(\.total.roundingError).max(), worst: worst?.name)
    }
  ) { _, _ in "The part of the network that changed most, relative to what is added there." }

  /// ‖D − D'‖ ÷ ‖W‖ over all changed weights.
  public static let baseError = AuditMeasure(
    "weights.base_relative_error", title: "error relative to the base", usualLimit: 0.05,
    advice: "Keep more, or store the weights in f16 or f32.",
    from: .weights { weights, _ in
      let total = weights.total
      return Reading(value: total.baseRelativeError, null: total.baseRoundingError)
    }
  ) { _, _ in "How large the change is beside the weights themselves." }

  /// |1 − c|, c being the strength at which D stands in D' (`WeightComparison.Sums.scale`).
  public static let scale = AuditMeasure(
    "weights.scale", title: "strength that changed", usualLimit: 0.1,
    advice: "Look at alpha and rank, or use another strength.",
    from: .weights { weights, _ in Reading(value: abs(1 - weights.total.scale)) }
  ) { value, limit in
    value <= limit
      ? "What comes after acts at the strength of what was before."
      : "What comes after acts at another strength than what was before."
  }

  /// The share of D in weights that D' leaves alone.
  public static let lost = AuditMeasure(
    "keys.lost", title: "effect that is lost", usualLimit: 0.15,
    advice: "Keep more, or keep all targets; a comparison of the two names what is missing.",
    from: .weights { weights, _ in
      let worst = weights.entries.filter { $0.energyAfter == 0 }.largest(\.energyBefore)
      return Reading(value: weights.lostShare, worst: worst)
    }
  ) { value, _ in
    value == 0
      ? "Every weight that was changed before is changed after."
      : "Part of the effect was in weights that are left alone now."
  }

  /// D' in weights that D leaves alone, as a share of D.
  public static let added = AuditMeasure(
    "keys.added", title: "effect that is new", usualLimit: 0.05,
    advice: "Look for another adapter, another base, or coarse number formats in it.",
    from: .weights { weights, _ in
      let worst = weights.entries.filter { $0.energyBefore == 0 }.largest(\.energyAfter)
      return Reading(value: weights.addedShare, worst: worst)
    }
  ) { value, _ in
    value == 0
      ? "No weight is changed that was not changed before."
      : "Weights are changed that were not changed before; relative to the effect before."
  }

  /// Targets without a place and tensors without a meaning.
  public static let unplaced = AuditMeasure(
    "keys.unplaced", title: "targets and tensors without a place", usualLimit: 0,
    advice: "Find out what has no place, and why.",
    from: .weights { _, after in
      let left = after.leftOut
      return Reading(value: Double(left.count), worst: left.first)
    }
  ) { value, _ in
    value == 0
      ? "Every tensor after has its place in the base."
      : "Parts of what comes after have no place in the base and do nothing."
  }

  /// Numbers that are NaN or infinite.
  public static let notFinite = AuditMeasure(
    "numbers.not_finite", title: "broken numbers", usualLimit: 0,
    advice: "Do not release it; train or convert again in f32 or bf16.",
    from: .weights { weights, _ in
      let broken = weights.entries.filter { $0.notFiniteAfter > 0 }
      return Reading(
        value: Double(broken.reduce(0) { $0 + $1.notFiniteAfter }), worst: broken.first?.name.path)
    }
  ) { value, _ in
    value == 0 ? "All numbers after are finite." : "Numbers after are NaN or infinite: pictures will be black or noise."
  }
}

extension [WeightComparison.Entry] {
  /// The name of the entry with the most.
  fileprivate func largest(_ path: KeyPath<WeightComparison.Entry, Double>) -> String? {
    guard let entry = self.max(by: { $0[keyPath: path] < $1[keyPath: path] }), entry[keyPath: path] > 0 else {
      return nil
    }
    return entry.name.path
  }
}
