import Adapters
public import Checkpoints
import GGUF
import Merging
import Models
import Tensors

/// A bake resolved against the real files: what is added where, what comes out, and how large it is.
///
/// Only headers and alphas have been read.
public struct BakePlan: Sendable {
  public let recipe: BakeRecipe
  public let base: Checkpoint
  public let fits: [AdapterFit]
  /// What the user should know before or instead of the work.
  public let warnings: [String]
  /// What is left out, because the user allowed it.
  public let skipped: [String]
  let weights: AdaptedWeights
  /// What each of the base's tensors becomes; `nil` for one that the output does without.
  let outputs: [DType?]
  /// How an output of GGUF stores each of the base's tensors; `nil` for one of safetensors. Quantised ones are F32 in
  /// `outputs`.
  let formats: [GGUFFormat]?
  /// The changed 8-bit weights that have a scale, by the index of the scale's tensor.
  let scaledWeights: [Int: Int]

  /// Reads the headers and matches all targets.
  ///
  /// - Throws: an error of a file's room, or `BakingError` for what does not fit.
  public init(_ recipe: BakeRecipe) throws {
    let base = try Checkpoint(path: recipe.base)
    formats = try Self.formats(base, recipe)
    let adapters = try recipe.inputs.map { try Adapter(path: $0.path) }
    for adapter in adapters {
      try adapter.requireWorkable(
        allowingUnknown: recipe.allowsUnknown, allowingUnsupported: recipe.allowsUnmatched, allowingDependents: true)
    }
    for (adapter, input) in zip(adapters, recipe.inputs) { try input.blocks?.check(for: adapter, on: base.family) }
    let fits = try adapters.map { try AdapterFit($0, on: base) }
    var skipped: [String] = []
    for (fit, input) in zip(fits, recipe.inputs) {
      skipped += try Self.leftOut(fit, input, allowing: recipe.allowsUnmatched)
    }
    self.recipe = recipe
    self.base = base
    self.fits = fits
    self.skipped = skipped + adapters.flatMap { adapter in adapter.unknown.map { "\(adapter.path): \($0)" } }
    weights = AdaptedWeights(base: base, adapters: Array(zip(fits, recipe.inputs)), rule: recipe.rule)
    let outputs: [DType?] = formats?.map(\.dtype) ?? base.weights.indices.map { Self.output($0, base, recipe.dtype) }
    self.outputs = outputs
    scaledWeights = Self.scaledWeights(base, changed: weights.additions.keys, outputs)
    warnings =
      base.warnings
      + adapters.flatMap { adapter in
        AdapterProblem.grouped(adapter.problems.filter { !$0.isFatal }).map { "\(adapter.path): \($0)" }
      } + fits.flatMap { fit in fit.notes.map { "\(fit.adapter.path): \($0)" } }
      + Self.averages(base) + Self.widenings(base, recipe)
      + base.duplicates.map { "\($0): left out, it holds the same weights again without the change" }
    for index in weights.additions.keys {
      let weight = base.weights[index]
      guard SumRounding(weight.entry.dtype) != nil else {
        throw BakingError(.format(weight: weight.entry.name, dtype: weight.entry.dtype.rawValue), path: base.path)
      }
      if formats?[index].isQuantised == true, recipe.rounding != .nearest {
        throw BakingError(.quantisedRounding(weight: weight.entry.name, recipe.rounding), path: base.path)
      }
    }
  }

  /// How many stored weights are changed.
  public var changedCount: Int { weights.additions.count }

  /// How many targets of all adapters are baked.
  public var targetCount: Int {
    zip(fits, recipe.inputs).reduce(0) { sum, pair in
      let (fit, input) = pair
      return sum
        + zip(fit.entries, fit.adapter.targets).count {
          $0.finding == .fits && input.strength(for: $1.key) != 0
        }
    }
  }

  /// Bytes of all weight files of the output, without the headers' few kilobytes.
  public var byteCount: Int {
    if let formats {
      return zip(base.weights, formats).reduce(0) { $0 + $1.1.byteCount($1.0.entry.shape.elementCount) }
    }
    return zip(base.weights, outputs).reduce(0) { sum, pair in
      sum + (pair.1.map { pair.0.entry.shape.elementCount * $0.bits / 8 } ?? 0)
    }
  }

  /// An upper bound of the memory that the work takes beside the system's cache of the files.
  public func peakMemory(threads: Int) -> Int {
    let largest =
      weights.additions.map { index, additions in
        let (rows, columns) = base.weights[index].entry.shape.flattened
        let whole = additions.filter { $0.target.whole != nil }
        let rank = additions.reduce(0) { $0 + ($1.target.whole == nil ? $1.target.rank : 0) }
        // Factors as doubles and as floats, once more while shaping.
        let factors = (recipe.rounding == .shaped ? 28 : 12) * rank * (rows + columns)
        // A delta without factors as floats; and while it is made the base, the sum and copies of them as doubles.
        let deltas = whole.isEmpty ? 0 : (40 + 4 * whole.count) * rows * columns
        return factors + deltas + 20 * max(1 << 18, 64 * columns)
      }.max() ?? 0
    // Tensors that cannot be used where they lie in the file.
    let copied = base.weights.lazy.filter { base.files[$0.file].contents.isCopied($0.entry) }.map {
      $0.entry.shape.elementCount * $0.entry.dtype.bits / 8
    }
    // Sums that become blocks are collected whole.
    let quantised = zip(base.weights, formats ?? []).lazy.filter(\.1.isQuantised).map {
      $0.0.entry.shape.elementCount * 6
    }
    return 40_000_000 + threads * (max(largest, 16 << 20) + (copied.max() ?? 0) + (quantised.max() ?? 0))
  }

  /// Averages kept for training are not what is used, so they stay as they are.
  private static func averages(_ base: Checkpoint) -> [String] {
    let count = base.weights.count { $0.entry.name.hasPrefix("model_ema.") }
    return count > 0 ? ["\(base.path): model_ema: \(count) tensors of a training average stay without the change"] : []
  }

  // MARK: What is left out

  /// The targets of an adapter that are not baked.
  ///
  /// - Throws: `BakingError` for the first of them unless they are allowed.
  private static func leftOut(
    _ fit: AdapterFit, _ input: AdapterInput, allowing isAllowed: Bool
  ) throws(BakingError) -> [String] {
    let path = fit.adapter.path
    // A part of an adapter that is used at strength 0 is left out by the user's own word.
    let misfits = fit.entries.filter { $0.finding != .fits && input.strength(for: $0.key) != 0 }
    if !isAllowed, let first = misfits.first {
      if let sentence = fit.familyMismatch { throw BakingError(.wrongFamily(sentence: sentence), path: path) }
      throw BakingError(
        .doesNotFit(target: first.target, finding: first.finding, others: misfits.count - 1), path: path)
    }
    // No checkpoint has a place for new words, so leaving them out is no choice of anybody's.
    return misfits.map { "\(path): \($0.target): \($0.finding)" }
      + fit.adapter.embeddings.map { "\(path): \($0): an embedding" }
  }

  // MARK: Number formats

  private static func scaledWeights(
    _ base: Checkpoint, changed: some Collection<Int>, _ outputs: [DType?]
  ) -> [Int: Int] {
    var result: [Int: Int] = [:]
    for index in changed {
      guard let scale = base.scaleIndex(of: base.weights[index]), outputs[scale] != nil else { continue }
      result[scale] = index
    }
    return result
  }

  private static func output(_ index: Int, _ base: Checkpoint, _ dtype: DType?) -> DType? {
    let weight = base.weights[index], stored = weight.entry.dtype
    guard let dtype else { return stored }
    // The scales of an 8-bit base are multiplied into weights that leave that format.
    let isScale = weight.entry.name.hasSuffix(".scale_weight") || weight.entry.name.hasSuffix("scaled_fp8")
    if isScale, dtype.bits > 8, weight.component != .other { return nil }
    guard weight.component != .other, stored.unitRoundoff != nil, stored != .f64, !isScale else { return stored }
    if base.scaleWeight(of: weight) != nil, dtype.bits == 8 { return stored }
    // Norms, biases and tables are small and need their digits.
    return dtype.bits == 8 && weight.entry.shape.rank < 2 ? stored : dtype
  }
}
