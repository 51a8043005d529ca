import Adapters
public import Factoring
public import LinearAlgebra
import Safetensors
import Spectra
public import Tensors

/// The changes between two checkpoints, decomposed: everything is known that ranks can be chosen by.
public struct ExtractDecomposition: Sendable {
  /// What was decomposed.
  public let plan: ExtractPlan
  /// One for each of the plan's targets.
  let changes: [ExtractChange]
  /// The number format of the factors.
  public let dtype: DType
  /// The alpha of every target that has one.
  let sharedAlpha: Double
  /// Where the factors wait; `nil` when they will not be written.
  let scratch: ExtractScratch?

  /// Reads both checkpoints and decomposes all differences.
  ///
  /// - Parameters:
  ///   - output: where the adapter is going to be written, so that factors can wait beside it; `nil` for a prediction.
  ///   - threads: how many targets are worked on at once; the result does not depend on it.
  ///   - progress: called with the number of targets done.
  /// - Throws: `FactoringError` for numbers that are not finite, `ExtractingError` when nothing has changed, `CheckpointError`,
  ///   `LinearAlgebraError`, or `FileError` when there is no room for the factors.
  public init(
    _ plan: ExtractPlan, output: String?, threads: Int, progress: WorkProgress? = nil
  ) throws {
    self.plan = plan
    let scratch = try output.map { try ExtractScratch(beside: $0) }
    self.scratch = scratch
    let targets = plan.targets
    let costs = targets.map { Double($0.rows) * Double($0.columns) * Double(min($0.fullRank, 1536)) }
    let order = targets.indices.sorted { (costs[$0], $1) > (costs[$1], $0) }
    let changes = try concurrentMap(
      count: targets.count, threads: threads, order: order, progress: progress, workspace: ExtractReader.init
    ) { index, reader in
      try ExtractChange(of: targets[index], plan, reader, scratch)
    }
    self.changes = changes
    let factors = zip(targets, changes).compactMap { target, change in change.factors.map { (target, $0) } }
    let isHeld = changes.contains { $0.fullFormat != nil || $0.factors != nil }
    guard isHeld else {
      let left = changes.contains { if case .notHeld = $0.kind { true } else { false } }
      throw ExtractingError(
        .unchanged(
          reason: left
            ? "changes only where an adapter cannot hold them" : "no difference beyond rounding"),
        path: plan.recipe.tuned)
    }
    let ranks = Set(factors.map(\.1.rank))
    let alpha = Double(max(1, ranks.max() ?? 1))
    let strengths = factors.filter { $0.1.rank > 0 }.map { target, factors in
      SharedAlpha.Strength(
        values: Array(factors.written.prefix(factors.rank)),
        scale: target.names.alpha == nil ? 1 : alpha / Double(factors.rank), length: max(target.rows, target.columns))
    }
    let range = SharedAlpha.EntryRange(strengths)
    let canLift = factors.allSatisfy { $0.0.names.alpha != nil }
    let lift = canLift ? range?.lift ?? 0 : 0
    var isTight = false
    if case .ranks(.maxError(let limit)) = plan.recipe.rule { isTight = limit < 0x1p-10 }
    // What waits to be chosen from is rounded later.
    let isWaiting = plan.recipe.rule == .ranks(.exact)
    let dtype = isWaiting ? .f32 : plan.recipe.dtype ?? (range?.fitsHalf(lift: lift) ?? true && !isTight ? .f16 : .f32)
    self.dtype = dtype
    sharedAlpha = SharedAlpha.lifted(alpha, by: dtype == .f16 ? lift : 0)
  }

  // MARK: Ranks

  /// The ranks that the recipe's rule gives; those of targets that are not held in factors are 0.
  ///
  /// - Throws: `FactoringError` or `ExtractingError` when the rule cannot be met.
  public func allocation() throws -> RankAllocation {
    let places = factored, allocator = makeAllocator()
    var allocation: RankAllocation
    switch plan.recipe.rule {
    case .ranks(.size(let limit)):
      guard let found = allocator.allocation(fitting: limit.bytes) else {
        throw FactoringError(
          .tooSmall(limit: limit, smallest: .init(allocator.smallestSize)), path: plan.recipe.tuned)
      }
      allocation = found
    case .ranks(.maxError(let limit)):
      // Rounding adds its own error, which is independent of what is cut off.
      let rounding = (dtype.unitRoundoff ?? 0) * 0.7
      guard limit > rounding else {
        throw FactoringError(.unreachableError(limit: limit, smallest: rounding, dtype: dtype), path: plan.recipe.tuned)
      }
      let rest = (limit * limit - rounding * rounding).squareRoot()
      allocation = allocator.allocation(relativeError: rest)
      guard allocation.relativeError <= rest else {
        throw ExtractingError(
          .rankCap(limit: limit, smallest: allocation.relativeError, rank: plan.recipe.maxRank),
          path: plan.recipe.tuned)
      }
    default: allocation = allocator.allocation(ranks: places.map { changes[$0].factors!.rank })
    }
    var ranks = plan.targets.map { _ in 0 }
    for (place, rank) in zip(places, allocation.ranks) { ranks[place] = rank }
    return RankAllocation(
      ranks: ranks, bytes: allocation.bytes, relativeError: allocation.relativeError,
      lowerBound: allocation.lowerBound)
  }

  /// The targets that have factors.
  var factored: [Int] { changes.indices.filter { changes[$0].factors != nil } }

  private func makeAllocator() -> RankAllocator {
    let places = factored, factors = places.map { changes[$0].factors! }
    var parts = places.enumerated().flatMap { index, place in
      let target = plan.targets[place]
      return target.items(rank: 1, dtype: dtype).map {
        FileSizeModel.Part(target: index, item: $0, growsWithRank: $0.name != target.names.alpha)
      }
    }
    parts += fullItems.map { FileSizeModel.Part(target: nil, item: $0, growsWithRank: false) }
    let metadata = metadata
    return RankAllocator(
      spectra: factors.map { Spectrum($0.values) }, outOfReach: factors.reduce(0) { $0 + $1.outside },
      weighing: .absolute, keepsAll: false,
      model: FileSizeModel(
        parts: parts, metadata: metadata.entries(ranks: places.map { _ in 0 }), growth: metadata.growth))
  }

  /// The tensors of changes that are held as they are.
  var fullItems: [SafetensorsLayout.Item] {
    zip(plan.targets, changes).compactMap { target, change in
      change.fullFormat.map { target.fullItem(dtype: $0) }
    }
  }
}

/// What has become of one weight.
struct ExtractChange: Sendable {
  enum Kind: Sendable {
    /// Bit by bit, or number by number in another format.
    case equal
    /// The difference is no more than rounding makes.
    case withinRounding
    case factors(ExtractFactors)
    /// To be stored as it is, in this format.
    case full(DType)
    case notHeld
  }

  let kind: Kind
  /// ‖D‖_F.
  let norm: Double

  var factors: ExtractFactors? { if case .factors(let factors) = kind { factors } else { nil } }
  var fullFormat: DType? { if case .full(let dtype) = kind { dtype } else { nil } }

  init(of target: ExtractTarget, _ plan: ExtractPlan, _ reader: ExtractReader, _ scratch: ExtractScratch?) throws {
    let delta = try reader.delta(of: target, plan)
    norm = delta.energy.squareRoot()
    if delta.isEqual || delta.energy == 0 {
      kind = .equal
    } else if delta.isWithinRounding {
      kind = .withinRounding
    } else {
      switch target.holding {
      case .nothing: kind = .notHeld
      case .unnamed(let reason):
        guard plan.recipe.allowsUnmatched else {
          throw FactoringError(
            .noDialectName(
              target: target.weightName, reason: reason, format: plan.format, count: 1, isFamilyOpen: false),
            path: plan.recipe.tuned)
        }
        kind = .notHeld
      case .full: kind = .full(Self.format(delta, plan.recipe))
      case .factors: kind = .factors(try ExtractFactors(of: delta, target, plan.recipe, reader, scratch))
      }
    }
  }

  /// Half precision where it loses nothing that matters: differences of biases are often below its normal numbers.
  private static func format(_ delta: ExtractDelta, _ recipe: ExtractRecipe) -> DType {
    if let dtype = recipe.dtype, dtype.bits >= 16 { return dtype }
    var lost = 0.0, place = delta.elements.startIndex
    while place < delta.elements.endIndex {
      let part = UnsafeBufferPointer(rebasing: delta.elements[place..<min(place + 1 << 14, delta.elements.endIndex)])
      let values = part.map { Double($0) }
      let rounded = Tensor(values, shape: [values.count], dtype: .f16).doubles()
      for (a, b) in zip(values, rounded) { lost += (a - b) * (a - b) }
      place += part.count
    }
    return lost <= 0x1p-22 * delta.energy ? .f16 : .f32
  }
}

/// The leading singular triples of a difference.
struct ExtractFactors: Sendable {
  /// Singular values, descending: the known ones, without those that rounding has drowned.
  let values: [Double]
  /// What they are written as: the same, or shrunk.
  let written: [Double]
  /// ‖D‖² − Σσᵢ²: the energy of what is not among the values.
  let outside: Double
  /// What the rule keeps; for rules that look at the whole file all that is known.
  let rank: Int
  /// Where the balanced factors lie: up as rank × m, then down as rank × n.
  let place: Int

  init(
    of delta: ExtractDelta, _ target: ExtractTarget, _ recipe: ExtractRecipe, _ reader: ExtractReader,
    _ scratch: ExtractScratch?
  ) throws {
    let limit = recipe.limit(target), low = delta.noise(target), high = delta.noiseOfBoth(target)
    var first = limit, noise = low
    switch recipe.rule {
    case .auto, .ranks(.energy): first = min(limit, 32)
    default: break
    }
    let matrix = DenseMatrix(delta.elements, rows: target.rows, columns: target.columns)
    let triples = try LeadingTriples(of: matrix, first: first, limit: limit, memory: reader.panels) { values, energy in
      switch recipe.rule {
      case .auto:
        noise = .fitting(values, energy: energy, low: low, high: high)
        return values.prefix { $0 > noise.level }.count
      case .ranks(.energy(let share)): return Self.rank(keeping: share * energy, of: values)
      default: return values.count
      }
    }
    values = triples.values
    written = recipe.rule == .auto ? values.map(noise.shrunk) : values
    outside = triples.tailEnergy
    rank = values.count
    guard let scratch else {
      place = 0
      return
    }
    let roots = written.map { $0.squareRoot() }
    let up = triples.u.scalingRows(by: roots), down = triples.vt.scalingRows(by: roots)
    place = try scratch.append(up.elements.map { Float($0) } + down.elements.map { Float($0) })
  }

  private static func rank(keeping energy: Double, of values: [Double]) -> Int {
    var sum = 0.0
    for (index, value) in values.enumerated() {
      sum += value * value
      if sum >= energy { return index + 1 }
    }
    return values.count
  }

  /// ‖D − D'‖_F for the leading `rank` triples as they are meant to be written, before rounding.
  func error(rank: Int) -> Double {
    var square = outside
    for (index, value) in values.enumerated().reversed() {
      let kept = index < rank ? written[index] : 0
      square += (value - kept) * (value - kept)
    }
    return square.squareRoot()
  }
}
