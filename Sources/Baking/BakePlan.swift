public import Adapters
public import Checkpoints
import Codecs
import Factoring
import GGUF
import Models
public import Tensors

/// A bake resolved against the real files: what is added where, what comes out, and how large it is.
///
/// Only headers and alphas have been read.
public struct BakePlan: Sendable {
  /// What the user asked for.
  public let recipe: BakeRecipe
  /// The base and the adapters, matched.
  public let stack: Stack
  /// What the user should know before or instead of the work.
  public let findings: [BakeFinding]
  /// What the files of base and adapters say themselves, in lines.
  let inputWarnings: [String]
  /// What is left out, because the user allowed it.
  public let skipped: [String]
  /// What each of the base's tensors becomes; `nil` for one that the output does without.
  let outputs: [DType?]
  /// How an output of GGUF stores each of the base's tensors; `nil` for one of safetensors. Quantised ones are F32 in
  /// `outputs`.
  let formats: [GGUFFormat]?
  /// The grids of the changed weights that stay codes, with steps and offsets as they are.
  let recoded: [Int: CodeGrid]
  /// The changed 8-bit weights that have a scale, by the index of the scale's tensor.
  let scaledWeights: [Int: Int]

  /// The checkpoint that the adapters are baked into.
  public var base: Checkpoint { stack.base }
  var weights: AdaptedWeights { stack.weights }

  /// Reads the headers and matches all targets.
  ///
  /// - Throws: an error of a file's room, or `BakingError` for what does not fit.
  public init(_ recipe: BakeRecipe) throws {
    // What the output cannot be is told before adapters are opened.
    let base = try Checkpoint(path: recipe.base), formats = try Self.formats(base, recipe)
    try self.init(recipe, recipe.inputs.map { try Adapter(path: $0.path) }, on: base, formats)
  }

  /// Matches adapters and a base that are open.
  ///
  /// - Parameters:
  ///   - adapters: the recipe's inputs.
  ///   - base: the recipe's base.
  /// - Throws: what `Stack` throws, or `BakingError` for what does not fit.
  public init(_ recipe: BakeRecipe, adapters: [Adapter], on base: Checkpoint) throws {
    precondition(adapters.count == recipe.inputs.count, "\(adapters.count) adapters for \(recipe.inputs.count) inputs")
    try self.init(recipe, adapters, on: base, Self.formats(base, recipe))
  }

  private init(
    _ recipe: BakeRecipe, _ adapters: [Adapter], on base: Checkpoint, _ formats: [GGUFFormat]?
  ) throws {
    let stack = try Stack(
      Array(zip(adapters, recipe.inputs)), on: base, rule: recipe.rule,
      allowing: [recipe.allowsUnknown ? .unknownTensors : [], recipe.allowsUnmatched ? .unmatchedTargets : []])
    (self.recipe, self.stack) = (recipe, stack)
    skipped = try stack.leftOut(allowingMisfits: recipe.allowsUnmatched)
    let weights = stack.weights
    let formats = try Self.formats(formats, changing: weights.additions.keys, base, recipe)
    self.formats = formats
    let recoded = Self.recoded(base, changing: weights.additions.keys, formats, recipe)
    self.recoded = recoded
    let outputs =
      try formats?.map(\.dtype)
      ?? Self.outputs(
        base, changing: Set(weights.additions.keys), keeping: Set(recoded.keys), recipe.writes ? recipe.dtype : .f32,
        recipe.writes)
    self.outputs = outputs
    scaledWeights = Self.scaledWeights(base, changed: weights.additions.keys, outputs)
    findings =
      Self.findings(base, recipe)
      + Self.leavings(base, changing: Set(weights.additions.keys).subtracting(recoded.keys), outputs)
    inputWarnings = base.warnings + stack.layers.flatMap(\.adapter.warnings) + stack.layers.flatMap(\.notes)
    for index in weights.additions.keys {
      let weight = base.weights[index]
      guard SumRounding(weight.entry.dtype) != nil else {
        throw BakingError(.format(weight: weight.entry.name, dtype: weight.entry.dtype.rawValue), path: base.path)
      }
      if let rounding = recipe.rounding, rounding != .nearest, let format = formats?[index], format.isQuantised,
        recoded[index] == nil
      {
        throw BakingError(
          .quantisedRounding(weight: weight.entry.name, format: format.name, rounding), path: base.path)
      }
    }
  }

  /// How many stored weights are changed.
  public var changedCount: Int { weights.additions.count }

  /// How many targets of all adapters are baked.
  public var targetCount: Int { stack.targetCount }

  /// Bytes of all weight files of the output, without the headers' few kilobytes.
  public var byteCount: Int {
    if let formats {
      return zip(base.weights, formats).reduce(0) { $0 + $1.1.byteCount($1.0.entry.shape.elementCount) }
    }
    return base.weights.indices.filter { outputs[$0] != nil }.map(stored).reduce(0) {
      $0 + $1.shape.elementCount * $1.dtype.bits / 8
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
        let factors = (rounding(of: index) == .shaped ? 28 : 12) * rank * (rows + columns)
        // A delta without factors as floats; and while it is made the base, the sum and copies of them as doubles.
        let deltas = whole.isEmpty ? 0 : (40 + 4 * whole.count) * rows * columns
        return factors + deltas + 20 * max(1 << 18, 64 * columns)
      }.max() ?? 0
    // Tensors that cannot be used where they lie in the file.
    let copied = base.weights.lazy.filter { base.files[$0.file].contents.isCopied($0.entry) }.map {
      $0.entry.shape.elementCount * $0.entry.dtype.bits / 8
    }
    // Sums that become blocks are collected whole.
    let quantised = weights.additions.keys.map { index in
      // Codes are changed in a copy; a tile has places and steps besides.
      if recoded[index] != nil { return base.storedBytes(base.weights[index]).count + 6 << 18 }
      return formats?[index].isQuantised == true ? base.weights[index].entry.shape.elementCount * 10 : 0
    }
    return 40_000_000 + threads * (max(largest, 16 << 20) + (copied.max() ?? 0) + (quantised.max() ?? 0))
  }

  // MARK: Number formats

  /// How sums become stored numbers of a weight.
  func rounding(of index: Int) -> Rounding {
    if let rounding = recipe.rounding { return rounding }
    if recoded[index] != nil { return .shaped }
    // The blocks of a new quantisation have factors of their own.
    if formats?[index].isQuantised == true { return .nearest }
    return outputs[index].map { $0.bits < 16 } ?? false ? .shaped : .nearest
  }

  /// The roundings of all changed weights; the nearest number where there are none.
  public var roundings: [Rounding] {
    if let rounding = recipe.rounding { return [rounding] }
    let used = Set(weights.additions.keys.map(rounding(of:)))
    return used.isEmpty ? [.nearest] : Rounding.allCases.filter(used.contains)
  }

  /// The same for people: `nearest`, or `nearest, shaped`.
  public var roundingNames: String { roundings.map(\.rawValue).joined(separator: ", ") }

  private static func scaledWeights(
    _ base: Checkpoint, changed: some Collection<Int>, _ outputs: [DType?]
  ) -> [Int: Int] {
    var result: [Int: Int] = [:]
    for index in changed {
      guard let scale = base.weights[index].quantisation?.scale, outputs[scale] != nil else { continue }
      result[scale] = index
    }
    return result
  }
}
