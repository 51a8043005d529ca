import Adapters
import Factoring

/// Decides what the product of each output target's factors is multiplied by; the rest of its strength goes into them.
enum ConvertScales {
  /// - Parameter normalising: whether all loaders are to read the same strength: one alpha for the whole file where the
  ///   dialect has alphas (diffusers gives kohya's attention targets the commonest of several), and 1 elsewhere.
  static func assign(to targets: inout [ConvertTarget], normalising: Bool) {
    let shared = normalising ? sharedAlpha(targets) : 0
    for index in targets.indices {
      switch targets[index].scaling {
      case .none: break
      case .configuration: if normalising { targets[index].alpha = Double(targets[index].alphaRank) }
      case .tensor: targets[index].alpha = SharedAlpha.storable(normalising ? shared : targets[index].alpha)
      }
    }
  }

  /// The alpha that lets the most targets keep their factors' bits, but for powers of two.
  private static func sharedAlpha(_ targets: [ConvertTarget]) -> Double {
    let own = targets.map(\.alpha.magnitude).filter { $0 != 0 }
    func gain(_ alpha: Double) -> (exact: Int, powers: Int) {
      own.reduce(into: (0, 0)) { count, value in
        if value == alpha { count.0 += 1 }
        if (value / alpha).significand == 1 { count.1 += 1 }
      }
    }
    var best: (alpha: Double, gain: (exact: Int, powers: Int))?
    for alpha in Set(own).sorted() {
      let gain = gain(alpha)
      if best == nil || (gain.powers, gain.exact) > (best!.gain.powers, best!.gain.exact) { best = (alpha, gain) }
    }
    return best.map { SharedAlpha.storable($0.alpha) } ?? Double(targets.map(\.alphaRank).max() ?? 1)
  }

  /// A warning about an output in which loaders would see different strengths.
  static func mixedAlphas(_ targets: [ConvertTarget], _ format: AdapterFormat) -> String? {
    guard format.dialect.alphaRule == .tensor else { return nil }
    let alphas = Set(targets.map(\.alpha))
    guard alphas.count > 1 else { return nil }
    return "the targets have \(alphas.count) different alphas, which diffusers misreads"
  }
}
