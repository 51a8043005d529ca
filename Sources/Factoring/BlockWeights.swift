import Adapters
public import Models

/// Strengths by block of the network, which multiply an adapter's own.
///
/// Lists of 12 (SDXL adapters), 17 (SD1 adapters), 20 (SDXL, all blocks), 26 (SD1, all blocks) or 61 numbers (Flux.1) mean
/// what the web UIs' block-weight extension means by them; single blocks go by the same labels.
public struct BlockWeights: Sendable, Equatable {
  package let weights: [String: Double]
  /// How many numbers the list has; `nil` for single blocks.
  package let count: Int?

  /// A list in the order of a preset.
  ///
  /// - Returns: `nil` when no preset has this many blocks.
  public init?(_ list: [Double]) {
    guard let labels = Self.presets[list.count] else { return nil }
    weights = Dictionary(uniqueKeysWithValues: zip(labels, list))
    count = list.count
  }

  /// Single blocks by label (`IN04`, `M00`, `OUT11`, `D07`, `S12`, `BASE`) or by name as reports print it
  /// (`down_blocks.1`, `text encoder 1`). `BASE` is what is in no block, and text encoders; what is not named keeps 1.
  public init(named weights: [String: Double]) {
    self.weights = weights
    count = nil
  }

  /// The lists that families have, by their lengths.
  package static let presets = Dictionary(
    Family.all.flatMap(\.blockLists).map { ($0.count, $0) }, uniquingKeysWith: { first, _ in first })

  /// What an adapter's strength is multiplied by for a target.
  public func weight(for key: TargetKey) -> Double {
    if let weight = weights[key.block] { return weight }
    let label = Self.label(of: key)
    if let weight = label.flatMap({ weights[$0] }) { return weight }
    // In a list, BASE stands for all that it does not name; beside single blocks those that are not named stay as they are.
    let isBase = count != nil || label == nil || key.component.isTextEncoder
    return (isBase ? weights["BASE"] : nil) ?? 1
  }

  /// The label of a target's block, or `nil` where the presets have none.
  package static func label(of key: TargetKey) -> String? {
    if key.component.isTextEncoder {
      let isFluxLike = key.path.contains("SelfAttention") || key.path.contains("DenseReluDense")
      return isFluxLike ? "T5" : key.component == .textEncoder1 ? "CLIP" : "BASE"
    }
    return key.blockLabel
  }
}
