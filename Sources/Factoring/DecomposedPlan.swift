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
    let mapBytes = targets.reduce(0) { $0 + 16 * $1.delta.componentCount * $1.delta.componentCount }
    let keepsMaps = mapBytes <= Self.mapBudget
    var decomposed = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { $0.delta.terms.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorWorkspace.init
    ) { index, workspace in
      let delta = try MergedDelta(
        of: targets[index], by: plan.recipe.method, rule: plan.recipe.rule, workspace)
      return try DecomposedTarget(
        delta, measure: weighing?.measures[index], alike: weighing?.alike ?? 0, keepingMaps: keepsMaps, workspace)
    }
    let ceilings = plan.recipe.clipping.ceilings(of: decomposed.map(\.spectrum), weights: weights)
    for (index, ceiling) in ceilings { decomposed[index] = decomposed[index].clipped(at: ceiling) }
    self.init(plan, weighing, decomposed)
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

/// The decomposition of one target's delta into components: its singular triples, or what carries most for the inputs of its
/// layer.
package struct DecomposedTarget: Sendable {
  /// Of the delta, without values that only rounding made.
  package let spectrum: Spectrum
  /// What each component counts: its root is what `spectrum` has where nothing is weighed.
  package private(set) var cost: Spectrum
  /// How much smaller the squared error gets with each component.
  private var energies: [Double]
  /// The squared error that no component makes smaller.
  package private(set) var outside: Double
  /// What an error counts, all inputs alike.
  package let factor: Double
  /// ‖Δ‖_F.
  package let norm: Double
  /// What a method has made of the deltas, where it is kept: it is made again if it would take too much memory.
  package let merged: MergedDelta?
  /// For all of the spectrum's triples; `nil` when they would take too much memory.
  package let maps: FactorMaps?
  /// Of each adapter's own delta at strength 1: its squared norm, and its inner product with each component of the sum.
  package private(set) var terms: [(energy: Double, inners: [Double])]
  /// The largest singular value that is written; `nil` for what there is.
  package private(set) var ceiling: Double?

  package init(
    _ merged: MergedDelta, measure: ErrorWeighing.Measure? = nil, alike: Double = 0, keepingMaps: Bool,
    _ workspace: FactorWorkspace
  ) throws {
    let delta = merged.sum, core = try delta.core(in: workspace)
    let decomposition = try core.decomposed(weights: delta.weights)
    let rank = decomposition.numericalRank(rows: delta.rows, columns: delta.columns)
    let count = min(delta.componentCount, delta.rows, delta.columns), none = Array(repeating: 0.0, count: count - rank)
    let spectrum = Spectrum(Array(decomposition.values.prefix(rank)) + none)
    self.spectrum = spectrum
    (outside, factor, norm) = (merged.outside, measure?.factor ?? 1, (spectrum.energy + merged.outside).squareRoot())
    self.merged = merged.isNew && keepingMaps ? merged : nil
    maps = keepingMaps ? decomposition.factorMaps(rank: rank) : nil
    let own = merged.own.map { core.core(weights: delta.weights(ofTerm: $0)) }
    guard let measure, let moments = measure.moments, rank > 0 else {
      let scale = measure?.factor.squareRoot() ?? 1
      cost = Spectrum(spectrum.singularValues.map { scale * $0 })
      energies = spectrum.singularValues.map { $0 * $0 }
      terms = own.map { own in
        (own.inner(own), zip(decomposition.values, decomposition.projections(of: own)).map(*))
      }
      return
    }
    let directions = try core.outputDirections(weights: delta.weights, moments: moments, alike: alike)
    // What no input reaches is kept last, and has a cost all the same: a rank of 0 means that there is nothing.
    let floor = (directions.values.first ?? 0) * 0x1p-40, scale = measure.factor.squareRoot()
    cost = Spectrum(directions.values.prefix(rank).map { scale * max($0, floor) } + none)
    let left = try directions.leading(rank), image = left.transposedTimes(core.core(weights: delta.weights))
    energies = image.rowProducts(image)
    terms = own.map { own in (own.inner(own), left.transposedTimes(own).rowProducts(image)) }
  }

  /// How large each component is, whatever errors count.
  var sizes: Spectrum { Spectrum(energies.map { $0.squareRoot() }) }

  /// ‖Δ − Δ'‖_F when the first `rank` components are kept.
  package func tailNorm(afterRank rank: Int) -> Double {
    // Small values first: the sum keeps their digits.
    (energies.dropFirst(rank).reversed().reduce(0, +) + outside).squareRoot()
  }

  /// ⟨D_t, S_k⟩ for each term, S_k being the sum cut to `rank` components.
  package func inners(rank: Int) -> [Double] { terms.map { $0.inners.prefix(rank).reduce(0, +) } }

  /// The same with singular values no larger than `ceiling`: σ is written as min(σ, c), which leaves an error of (σ − c)² in a
  /// component that is kept.
  ///
  /// - Precondition: its components are its singular triples.
  func clipped(at ceiling: Double) -> DecomposedTarget {
    let values = spectrum.singularValues
    guard let largest = values.first, largest > ceiling else { return self }
    var clipped = self
    clipped.ceiling = ceiling
    clipped.energies = values.map { $0 > ceiling ? ceiling * (2 * $0 - ceiling) : $0 * $0 }
    clipped.cost = Spectrum(clipped.energies.map { (factor * $0).squareRoot() })
    clipped.outside += values.reduce(0) { $0 + max(0, $1 - ceiling) * max(0, $1 - ceiling) }
    clipped.terms = terms.map { term in
      (term.energy, zip(term.inners, values).map { $0 * min(1, ceiling / $1) })
    }
    return clipped
  }

  /// What the maps of the leading components are multiplied by, on each side; `nil` where nothing is clipped.
  func mapFactors(rank: Int) -> [Double]? {
    ceiling.map { ceiling in spectrum.singularValues.prefix(rank).map { min(1, ceiling / $0).squareRoot() } }
  }
}

extension Matrix {
  /// ⟨aᵢ, bᵢ⟩ for each pair of rows.
  fileprivate func rowProducts(_ other: Matrix) -> [Double] {
    (0..<rows).map { i in (0..<columns).reduce(0) { $0 + self[i, $1] * other[i, $1] } }
  }
}
