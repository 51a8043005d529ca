import Checkpoints

/// Something about a bake that its user should know, as a value: whoever shows it adds what to try.
public struct BakeFinding: Sendable, Equatable, CustomStringConvertible {
  /// What was found, with the numbers that a message has.
  public enum Kind: Sendable, Equatable {
    /// Tensors of a training average, which is not what is used: they stay without the change.
    case averages(count: Int)
    /// Quantised tensors that have no like in the output's container, and take four times the space.
    case widened(count: Int)
    /// A file that holds the same weights again, and is left out.
    case duplicate
  }

  /// The file.
  public let subject: String
  /// What was found, for those who add a hint to it.
  public let kind: Kind

  /// One line without a hint, beginning with the file.
  public var description: String {
    switch kind {
    case .averages(let count): "\(subject): model_ema: \(count) tensors of a training average stay without the change"
    case .widened(let count):
      "\(subject): \(count) tensors of Q8_0 become F32, which holds exactly what they stand for"
    case .duplicate: "\(subject): left out, it holds the same weights again without the change"
    }
  }
}

extension BakePlan {
  /// What was found about the base with the recipe's output.
  static func findings(_ base: Checkpoint, _ recipe: BakeRecipe) -> [BakeFinding] {
    let averages = base.weights.count { $0.entry.name.hasPrefix("model_ema.") }
    return (averages > 0 ? [BakeFinding(subject: base.path, kind: .averages(count: averages))] : [])
      + widenings(base, recipe) + base.duplicates.map { BakeFinding(subject: $0, kind: .duplicate) }
  }

  /// Quantised weights have no like in safetensors.
  private static func widenings(_ base: Checkpoint, _ recipe: BakeRecipe) -> [BakeFinding] {
    guard recipe.container == .safetensors, recipe.dtype == nil else { return [] }
    return base.files.compactMap { file in
      let count = file.contents.gguf?.entries.count(where: \.format.isQuantised) ?? 0
      return count > 0 ? BakeFinding(subject: file.contents.path, kind: .widened(count: count)) : nil
    }
  }

  /// What the user should know, in lines: of the base, of the adapters, and the findings.
  ///
  /// - Parameter hint: what to try about a finding, in the words of whoever shows it.
  public func warnings(hint: (BakeFinding.Kind) -> String?) -> [String] {
    inputWarnings + findings.map { finding in "\(finding)" + (hint(finding.kind).map { "; hint: \($0)" } ?? "") }
  }

  /// The same without what to try.
  public var warnings: [String] { warnings { _ in nil } }
}
