import Checkpoints
import Tensors

/// Something about a bake that its user should know, as a value: whoever shows it adds what to try.
public struct BakeFinding: Sendable, Equatable, CustomStringConvertible {
  /// What was found, with the numbers that a message has.
  public enum Kind: Sendable, Equatable {
    /// Tensors of a training average, which is not what is used: they stay without the change.
    case averages(count: Int)
    /// Quantised tensors that have no like in the output's container, and take several times the space.
    case widened(count: Int, formats: [String])
    /// Weights of a format that is only read, which become plain numbers because something is added to them.
    case leaves(count: Int, format: String, dtype: String)
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
    case .widened(let count, let formats):
      "\(subject): \(count) tensors of \(formats.joined(separator: ", ")) become F32, which holds exactly what they stand for"
    case .leaves(let count, let format, let dtype):
      "\(subject): \(count) weights of \(format) become \(dtype), the others stay as they are"
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
      let formats = (file.contents.gguf?.entries ?? []).map(\.format).filter(\.isQuantised)
      guard !formats.isEmpty else { return nil }
      let kind = BakeFinding.Kind.widened(count: formats.count, formats: Set(formats.map(\.name)).sorted())
      return BakeFinding(subject: file.contents.path, kind: kind)
    }
  }

  /// Codes that cannot be written in their place.
  static func leavings(
    _ base: Checkpoint, changing changed: some Collection<Int>, _ outputs: [DType?]
  ) -> [BakeFinding] {
    let left = changed.filter {
      base.weights[$0].quantisation != nil && !base.weights[$0].isInPlace
        && base.files[base.weights[$0].file].contents.gguf == nil
    }
    let groups = Dictionary(grouping: left) { base.weights[$0].quantisation!.codec.name }
    return groups.sorted { $0.key < $1.key }.map { format, indices in
      BakeFinding(
        subject: base.path,
        kind: .leaves(count: indices.count, format: format, dtype: outputs[indices[0]]?.rawValue ?? "plain"))
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
