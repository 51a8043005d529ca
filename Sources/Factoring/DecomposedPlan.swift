import Adapters
public import LinearAlgebra
public import Spectra
package import Tensors

/// A plan whose deltas have been decomposed: everything is known that ranks can be chosen by.
public struct DecomposedPlan: Sendable {
  /// What was decomposed; its targets are in the order of `spectra`.
  public let plan: RefactorPlan
  /// The spectrum of each target's delta, without values that only rounding made.
  public let spectra: [Spectrum]
  /// What ranks are chosen by, where it is not the size of errors alone.
  public let weighing: ErrorWeighing?
  /// What the components of each target count under the weighing: those of `spectra` where there is none.
  package let costs: [Spectrum]
  package let targets: [DecomposedTarget]
  /// The alpha of every target that has one.
  package let sharedAlpha: Double
  /// For each target what becomes of it where none of its components is cut: a copy, or `nil` where it is made anew.
  package let copies: [ExactCopy?]

  /// Factor maps beyond this many bytes are computed again when they are needed.
  package static let mapBudget = 512 << 20

  /// Decomposes all deltas, in double precision.
  ///
  /// - Parameters:
  ///   - weighing: of the plan's targets, where the recipe asks for one that needs measures.
  ///   - weights: the largest singular value of the weight that each target changes, by which spikes are told where it is known.
  ///   - threads: how many targets are worked on at once; the result does not depend on it.
  ///   - progress: called with the number of targets done.
  public init(
    _ plan: RefactorPlan, weighing: ErrorWeighing? = nil, weights: [Double?]? = nil, threads: Int,
    progress: WorkProgress? = nil
  ) throws {
    precondition(plan.recipe.weighing.needsMeasures == (weighing != nil), "a weighing that was not asked for, or none")
    precondition(weighing.map { $0.measures.count == plan.targets.count } ?? true, "a measure for each target")
    let targets = plan.targets
    let mapBytes = targets.indices.reduce(0) { sum, index in
      let delta = targets[index].delta,
        isFactored = weighing?.measures[index].moments != nil || plan.recipe.method.combines
      return delta.isDense && !isFactored ? sum : sum + 16 * delta.componentCount * delta.componentCount
    }
    let keepsMaps = mapBytes <= Self.mapBudget, vectors = Self.keptVectors(plan)
    @Sendable func decomposed(_ index: Int, byProducts: Bool, _ workspace: FactorWorkspace) throws -> DecomposedTarget {
      let delta = try MergedDelta(of: targets[index], by: plan.recipe.method, rule: plan.recipe.rule, workspace)
      return try DecomposedTarget(
        delta, measure: weighing?.measures[index], alike: weighing?.alike ?? 0, byProducts: byProducts,
        vectors: vectors, keepingMaps: keepsMaps, workspace)
    }
    var all = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { $0.delta.terms.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorWorkspace.init
    ) { try decomposed($0, byProducts: plan.decomposesByProducts, $1) }
    let ceilings = plan.recipe.clipping.ceilings(of: all.map(\.spectrum), weights: weights),
      workspace = FactorWorkspace()
    for (index, ceiling) in ceilings where (all[index].spectrum.singularValues.first ?? 0) > ceiling {
      // Where nothing is clipped, nothing is done in another way.
      if plan.decomposesByProducts, all[index].dense == nil {
        all[index] = try decomposed(index, byProducts: false, workspace)
      }
      all[index] = all[index].clipped(at: ceiling)
    }
    self.init(plan, weighing, all)
  }

  /// How many singular vectors are kept of each delta that has no factors: as many as may be asked for, and as there is memory for.
  private static func keptVectors(_ plan: RefactorPlan) -> Int {
    let dense = plan.targets.map(\.delta).filter(\.isDense)
    let room = mapBudget / max(1, dense.reduce(0) { $0 + 8 * min($1.rows, $1.columns) })
    // More take longer than finding again what few targets need.
    guard case .rank(let rank, let conv) = plan.recipe.rule else { return min(room, 128) }
    let wanted = max(rank, conv ?? 0)
    // A part of them would have to be found again with the rest.
    return wanted <= room ? wanted : 0
  }

  /// - Parameter targets: the decompositions of the plan's targets, which do not depend on number formats.
  init(_ plan: RefactorPlan, _ weighing: ErrorWeighing?, _ targets: [DecomposedTarget]) {
    (self.plan, self.weighing, self.targets) = (plan, weighing, targets)
    spectra = targets.map(\.spectrum)
    costs = targets.map(\.cost)
    sharedAlpha = SharedAlpha.value(
      for: plan, spectra: spectra, commonRank: Self.commonRank(plan.recipe.rule, spectra))
    copies = Self.copies(plan, targets, sharedAlpha)
  }

  private static func copies(
    _ plan: RefactorPlan, _ targets: [DecomposedTarget], _ sharedAlpha: Double
  ) -> [ExactCopy?] {
    guard plan.copiesWhatIsWhole else { return targets.map { _ in nil } }
    return zip(plan.targets, targets).map { target, decomposed in
      guard decomposed.ceiling == nil else { return nil }
      return ExactCopy(
        target, spectrum: decomposed.spectrum, sharedAlpha: sharedAlpha, hasConfiguration: plan.writesFolder)
    }
  }

  /// The copy of a target that keeps all of its components.
  package func copy(_ index: Int, rank: Int) -> ExactCopy? {
    copies[index].flatMap { plan.targets[index].delta.componentCount == rank ? $0 : nil }
  }

  /// The targets that are written with smaller singular values than they have, each with its largest one and what that becomes.
  public var clipped: [(name: String, from: Double, to: Double)] {
    zip(plan.targets, targets).compactMap { target, decomposed in
      decomposed.ceiling.map { (target.name, decomposed.spectrum.singularValues[0], $0) }
    }
  }

  /// Whether the factors of a target's terms stand side by side where nothing is cut: no fewer components would hold the sum.
  ///
  /// Eight bits are too few for factors that are not made for them.
  func concatenates(_ index: Int) -> Bool {
    plan.concatenates && targets[index].isIndependent && plan.targets[index].dtype.bits > 8
  }

  /// The ranks that the recipe's rule gives.
  ///
  /// - Parameter rule: another rule than the recipe's.
  /// - Throws: `FactoringError` when the rule cannot be met.
  public func allocation(rule: RankRule? = nil) throws -> RankAllocation {
    let rule = rule ?? plan.recipe.rule
    var allocation = withBothErrors(try allocation(rule, makeAllocator(rule)), rule)
    allocation.rule = rule
    return allocation
  }

  /// What an allocator that works in a weighing's units has chosen, with the errors in the weights beside those.
  private func withBothErrors(_ chosen: RankAllocation, _ rule: RankRule?) -> RankAllocation {
    guard weighing != nil else { return chosen }
    let energy = targets.reduce(0) { $0 + $1.norm * $1.norm }
    let lost = zip(targets, chosen.ranks).reduce(0) { sum, target in
      let tail = target.0.tailNorm(afterRank: target.1)
      return sum + tail * tail
    }
    var bound: Double?
    if let rule, case .size(let limit) = rule {
      bound = makeAllocator(rule, isWeighed: false).lowerBound(fitting: limit.bytes)
    }
    var allocation = RankAllocation(
      ranks: chosen.ranks, bytes: chosen.bytes, relativeError: energy > 0 ? (lost / energy).squareRoot() : 0,
      lowerBound: bound)
    allocation.weighted = .init(relativeError: chosen.relativeError, lowerBound: chosen.lowerBound)
    return allocation
  }

  private func allocation(_ rule: RankRule, _ allocator: RankAllocator) throws -> RankAllocation {
    let path = plan.adapters[0].path
    switch rule {
    case .size(let limit):
      guard let allocation = allocator.allocation(fitting: limit.bytes) else {
        throw FactoringError(.tooSmall(limit: limit, smallest: .init(allocator.smallestSize)), path: path)
      }
      // A file without any component is none, though it would fit.
      if let smallest = allocator.smallestSizeOfOne, !allocation.ranks.contains(where: { $0 > 0 }) {
        throw FactoringError(.tooSmall(limit: limit, smallest: .init(smallest)), path: path)
      }
      return allocation
    case .maxError(let limit):
      // Rounding adds its own error, which is independent of what is cut off.
      let rounding = roundingError
      guard limit > rounding.error else {
        // Whatever is not cut is not rounded either.
        if zip(copies, spectra).allSatisfy({ $0 != nil || $1.energy == 0 }) {
          return allocator.allocation(ranks: spectra.map { $0.singularValues.count { $0 > 0 } })
        }
        throw FactoringError(
          .unreachableError(limit: limit, smallest: rounding.error, dtype: rounding.dtype), path: path)
      }
      return allocator.allocation(relativeError: (limit * limit - rounding.error * rounding.error).squareRoot())
    case .components(let count): return allocator.allocation(components: count)
    default:
      return allocator.allocation(
        ranks: zip(plan.targets, costs).map { target, spectrum in
          rule.rank(for: spectrum, isConvolution: target.isConvolution, countsLikeKohya: plan.recipe.countsLikeKohya)!
        })
    }
  }

  /// How many components `RankRule.components` can choose from.
  public var componentCount: Int { makeAllocator(plan.recipe.rule).componentCount }

  /// File size against relative error, from the smallest file to the full one.
  public func curve(points: Int) -> [RankAllocation] {
    let rule = plan.recipe.rule
    return makeAllocator(rule).curve(points: points).map { withBothErrors($0, nil) }
  }

  /// - Parameter isWeighed: whether components count what the weighing says, or their size.
  private func makeAllocator(_ rule: RankRule, isWeighed: Bool = true) -> RankAllocator {
    let metadata = metadata(for: rule)
    let parts =
      plan.targets.enumerated().flatMap { $1.parts(index: $0) }
      + plan.passedThrough.map {
        FileSizeModel.Part(
          target: nil, item: .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape), growsWithRank: false)
      }
    return RankAllocator(
      spectra: isWeighed ? costs : targets.map(\.sizes),
      outOfReach: targets.reduce(0) { $0 + $1.outside * (isWeighed ? $1.factor : 1) },
      weighing: plan.recipe.weighing, keepsAll: keepsAll, kept: landmarks,
      model: FileSizeModel(
        parts: parts, metadata: metadata.entries(ranks: plan.targets.map { _ in 0 }), growth: metadata.growth))
  }

  /// The metadata of an output whose ranks `rule` has chosen.
  package func metadata(for rule: RankRule) -> OutputMetadata {
    plan.metadata(
      rule: rule, weighing: weighing, commonRank: Self.commonRank(rule, spectra),
      isConcatenated: rule == .exact && targets.indices.contains(where: concatenates),
      alpha: plan.targets.contains(where: \.usesAlpha) ? sharedAlpha : nil)
  }

  /// The strongest `out_proj` of each text encoder. Diffusers looks for these to learn what the text encoder's other targets
  /// are called, and passes over all of them where it finds none.
  private var landmarks: Set<Int> {
    let places = plan.targets.indices.filter { index in
      let key = plan.targets[index].key
      return key.component.isTextEncoder && key.path.hasSuffix("self_attn_out_proj") && spectra[index].energy > 0
    }
    return Set(
      Dictionary(grouping: places) { plan.targets[$0].key.component }.values.map { own in
        own.max { (spectra[$0].energy, $1) < (spectra[$1].energy, $0) }!
      })
  }

  /// Formats that number their targets cannot leave one out.
  private var keepsAll: Bool {
    plan.recipe.keepsAllTargets || plan.format.dialect.numbersTargets || plan.targets.contains { $0.magnitude != nil }
  }

  /// The rank to write down for the whole file: known beforehand only where every target gets the same.
  private static func commonRank(_ rule: RankRule, _ spectra: [Spectrum]) -> Int? {
    guard case .rank(let rank, let conv) = rule, conv == nil || conv == rank else { return nil }
    return spectra.allSatisfy { $0.singularValues.count { $0 > 0 } >= rank } ? rank : nil
  }

  /// What rounding the factors can add to the relative error: √2 times the format's typical relative rounding error,
  /// with a margin.
  package var roundingError: (error: Double, dtype: DType) {
    let widest = plan.targets.map(\.dtype).max { ($0.unitRoundoff ?? 0) < ($1.unitRoundoff ?? 0) } ?? .f32
    return ((widest.unitRoundoff ?? 0) * 0.7, widest)
  }
}
