public import Adapters
import Files
import FoundationEssentials
public import LinearAlgebra
import Safetensors
import Spectra
import Tensors

extension DecomposedPlan {
  /// What writing with the given ranks would give, from the decompositions alone; rounding of the factors not included.
  ///
  /// - Parameter threads: how many targets are worked on at once; the result does not depend on it.
  public func prediction(_ allocation: RankAllocation, output: String, threads: Int) throws -> RefactorResult {
    let inners =
      try plan.isAnotherWork
      ? concurrentMap(
        count: targets.count, threads: threads, workspace: FactorWorkspace.init
      ) { index, workspace in
        try self.inners(index, rank: allocation.ranks[index], workspace)
      } : []
    return result(
      allocation, output: output, errors: zip(targets, allocation.ranks).map { $0.tailNorm(afterRank: $1) },
      inners: inners)
  }

  /// ⟨D_t, S_k⟩ for each term of a target, S_k being the sum cut to `rank` components.
  private func inners(_ index: Int, rank: Int, _ workspace: FactorWorkspace) throws -> [Double] {
    let decomposed = try complete(index, workspace), delta = plan.targets[index].delta
    guard let dense = decomposed.dense else { return try decomposed.inners(rank: rank) }
    guard rank > 0 else { return delta.terms.map { _ in 0 } }
    return try DenseCut(of: delta, dense, rank: rank, factors: decomposed.mapFactors(rank: rank), workspace).inners
  }

  /// The decomposition of a target with all that its factors are made with.
  private func complete(_ index: Int, _ workspace: FactorWorkspace) throws -> DecomposedTarget {
    guard targets[index].isForgotten else { return targets[index] }
    return try DecomposedTarget(
      merged(index, workspace), measure: weighing?.measures[index], alike: weighing?.alike ?? 0,
      byProducts: plan.decomposesByProducts,
      vectors: 0, keepingMaps: true, workspace)
  }

  /// Writes the adapter with the given ranks to `output`, reads it again, and only then gives it its name.
  ///
  /// - Parameters:
  ///   - output: a file, or for a PEFT adapter with a configuration a folder.
  ///   - overwriting: whether existing files may be replaced.
  ///   - threads: how many targets are worked on at once; the bytes do not depend on it.
  /// - Throws: `FileError` when the output cannot be written, `FactoringError` when it does not hold what it should.
  public func write(
    _ allocation: RankAllocation, to output: String, overwriting: Bool, threads: Int, progress: WorkProgress? = nil
  ) throws -> RefactorResult {
    try requireSomething(in: allocation)
    let own = plan.replaceableInputs, destination = try place(output, allocation.ranks)
    try destination.check(overwriting: overwriting, inPlaceOf: own)
    let files = try OutputFiles(destination, overwriting: overwriting, inPlaceOf: own)
    let (writer, result) = try write(allocation, to: files, named: output, threads: threads, progress)
    try Publication.publish([writer.completed()])
    return result
  }

  /// Makes the adapter with the given ranks in memory. Only the names and numbers of a file are the same as those of `write`'s.
  ///
  /// - Parameters:
  ///   - title: what messages call the adapter.
  ///   - threads: how many targets are worked on at once; the numbers do not depend on it.
  /// - Throws: `FactoringError` when it does not hold what it should.
  public func adapter(
    _ allocation: RankAllocation, titled title: String = "an adapter in memory", threads: Int,
    progress: WorkProgress? = nil
  ) throws -> (adapter: Adapter, result: RefactorResult) {
    try requireSomething(in: allocation)
    // Only a folder holds a configuration, and a title is no folder's name.
    let files = try OutputFiles(inMemory: place(plan.writesFolder ? title + "/" : title, allocation.ranks))
    let (writer, result) = try write(allocation, to: files, named: title, threads: threads, progress)
    return (try writer.adapter(titled: title), result)
  }

  private func requireSomething(in allocation: RankAllocation) throws(FactoringError) {
    guard allocation.ranks.contains(where: { $0 > 0 }) else {
      throw FactoringError(.nothingLeft, path: plan.adapters[0].path)
    }
  }

  private func write(
    _ allocation: RankAllocation, to files: OutputFiles, named output: String, threads: Int, _ progress: WorkProgress?
  ) throws -> (AdapterWriter, RefactorResult) {
    let hashes = InBackground {
      try self.plan.origin?.hashes() ?? self.plan.adapters.map { [try AdapterHashes.contentHash(of: $0)] }
    }
    let ranks = allocation.ranks, targets = plan.targets
    let writer = AdapterWriter(
      targets.indices.filter { ranks[$0] > 0 }.flatMap { targets[$0].items(rank: ranks[$0]) },
      others: plan.passedThrough, metadata: metadata(for: allocation.rule ?? plan.recipe.rule), ranks: ranks, to: files)
    precondition(writer.byteCount == allocation.bytes, "the file's size must be the one that was allocated")

    let outcomes = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { $0.delta.terms.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorEncoder.init
    ) { index, encoder in
      try writeTarget(index, rank: ranks[index], with: encoder, to: writer, path: output)
    }
    try writer.seal(inputHashes: hashes.value())
    try RoundingLoss.check(outcomes.compactMap(\.loss), path: plan.adapters[0].path)
    try writer.reread(
      zip(targets, zip(ranks, outcomes)).compactMap { target, found in
        found.1.scale.map { target.expectation(rank: found.0, scale: $0) }
      }, isWhole: true)
    let result = result(
      allocation, output: output, errors: outcomes.map(\.error), inners: outcomes.map(\.inners))
    if weighing == nil, case .maxError(let limit) = plan.recipe.rule, !(result.relativeError <= limit) {
      // Factors whose rounding is worse than usual; nothing has its name yet.
      throw FactoringError(
        .unreachableError(limit: limit, smallest: result.relativeError, dtype: roundingError.dtype), path: output)
    }
    return (writer, result)
  }

  /// Where the output goes, with the ranks and alphas that a configuration tells.
  private func place(_ output: String, _ ranks: [Int]) throws -> OutputPlace {
    let written = plan.targets.indices.filter { ranks[$0] > 0 }
    let list = written.map { (name: plan.targets[$0].name, rank: ranks[$0]) }
    let alphas = written.map { Double(ranks[$0]) * (copy($0, rank: ranks[$0])?.scale ?? 1) }
    let saysAlphas = zip(alphas, list).contains { $0 != Double($1.rank) }
    return try plan.place(output, ranks: list, alphas: saysAlphas ? alphas : nil)
  }

  private struct Outcome: Sendable {
    var error: Double
    /// The scale that the stored factors are to be multiplied by; `nil` for a target that is left out.
    var scale: Double?
    /// ⟨D_t, S'⟩ for each term.
    var inners: [Double]
    /// Of a target with factors.
    var loss: RoundingLoss?
  }

  private func writeTarget(
    _ index: Int, rank: Int, with encoder: FactorEncoder, to writer: AdapterWriter, path: String
  ) throws -> Outcome {
    let target = plan.targets[index], spectrum = targets[index].spectrum
    let available = spectrum.singularValues.count { $0 > 0 }
    guard rank > 0 else {
      return Outcome(error: targets[index].norm, scale: nil, inners: target.delta.terms.map { _ in 0 })
    }
    if let copy = copy(index, rank: rank) { return try write(copy, of: target, rank: rank, to: writer) }
    guard available > 0 else { return try writeZeros(of: target, rank: rank, to: writer) }
    let merged = try merged(index, encoder.factors), decomposed = try complete(index, encoder.factors)
    let encoded: FactorEncoder.Encoded, inners: [Double]
    if rank == available, concatenates(index), let products = decomposed.products {
      encoded = try encoder.concatenate(target, alpha: sharedAlpha, products: products, path: path)
      inners = try decomposed.inners(rank: rank)
    } else {
      (encoded, inners) = try encode(
        index, merged, decomposed, rank: rank, available: available, with: encoder, path: path)
    }
    try writer.write(encoded.up, of: target.names.up)
    try writer.write(encoded.down, of: target.names.down)
    try writer.write(scale: encoded.scale, as: target.scaling, rank: rank, of: target.names)
    if let name = target.magnitude?.name, let lengths = encoded.magnitude { try writer.write(lengths, of: name) }
    return Outcome(
      error: (encoded.error * encoded.error + merged.outside).squareRoot(), scale: encoded.scale, inners: inners,
      loss: encoded.loss)
  }

  /// What is written of a target, before it is cut.
  private func merged(_ index: Int, _ workspace: FactorWorkspace) throws -> MergedDelta {
    try targets[index].merged
      ?? MergedDelta(of: plan.targets[index], by: plan.recipe.method, rule: plan.recipe.rule, workspace)
  }

  /// Factors that are made anew, and ⟨D_t, S'⟩ for each term.
  private func encode(
    _ index: Int, _ merged: MergedDelta, _ decomposed: DecomposedTarget, rank: Int, available: Int,
    with encoder: FactorEncoder, path: String
  ) throws -> (FactorEncoder.Encoded, [Double]) {
    let chosen =
      rank < available || decomposed.dense != nil
      ? try choice(for: index, decomposed, rank: rank, isCut: rank < available, encoder.factors) : nil
    var maps = try (chosen?.maps ?? decomposed.maps ?? recomputedMaps(merged.sum, rank: rank, encoder.factors))
      .prefix(rank)
    let factors = decomposed.mapFactors(rank: rank)
    if let factors { maps = maps.scaled(by: factors) }
    let encoded = try encoder.encode(
      plan.targets[index].making(chosen?.sum ?? merged.sum), alpha: sharedAlpha, maps: maps,
      spectrum: decomposed.spectrum,
      isTruncation: factors == nil && chosen?.isTruncation ?? true, path: path)
    return (encoded, try chosen?.inners ?? decomposed.inners(rank: rank))
  }

  /// A dead target that must stay.
  private func writeZeros(of target: OutputTarget, rank: Int, to writer: AdapterWriter) throws -> Outcome {
    for item in target.items(rank: rank) where item.name == target.names.up || item.name == target.names.down {
      try writer.write([UInt8](repeating: 0, count: item.byteCount), of: item.name)
    }
    let scale = target.usesAlpha ? sharedAlpha / Double(rank) : 1
    try writer.write(scale: scale, as: target.scaling, rank: rank, of: target.names)
    if let magnitude = target.magnitude {
      let nothing = [Double](repeating: 0, count: target.delta.rows * target.delta.columns)
      try writer.write(magnitude.lengths(adding: nothing), of: magnitude.name)
    }
    return Outcome(error: 0, scale: scale, inners: target.delta.terms.map { _ in 0 })
  }

  private func write(_ copy: ExactCopy, of target: OutputTarget, rank: Int, to writer: AdapterWriter) throws -> Outcome
  {
    let source = target.delta.terms[0].target
    for (name, tensor, factor) in [(target.names.up, source.up, copy.up), (target.names.down, source.down, copy.down)] {
      try writer.write(ExactCopy.bytes(tensor, times: factor, as: target.dtype), of: name)
    }
    try writer.write(scale: copy.scale, as: target.scaling, rank: rank, of: target.names)
    return Outcome(error: 0, scale: copy.scale, inners: [])
  }

  private func recomputedMaps(_ delta: DeltaSum, rank: Int, _ workspace: FactorWorkspace) throws -> FactorMaps {
    try delta.core(in: workspace).decomposed(weights: delta.weights).factorMaps(rank: rank)
  }

  /// What is kept of a target that is cut.
  private struct Choice {
    var maps: FactorMaps
    /// ⟨D_t, S'⟩ for each term.
    var inners: [Double]
    /// Whether it is the sum's leading triples.
    var isTruncation: Bool
    /// What the maps are for, where that is not the plan's delta.
    var sum: DeltaSum?
  }

  /// What is kept where that is found anew: what the recipe's method keeps of several adapters' sum, or what carries most for the
  /// inputs of the layer, or the leading triples where those are not all known.
  private func choice(
    for index: Int, _ decomposed: DecomposedTarget, rank: Int, isCut: Bool, _ workspace: FactorWorkspace
  ) throws -> Choice? {
    let target = plan.targets[index], delta = target.delta, moments = weighing?.measures[index].moments
    if isCut, moments == nil, let own = try methodsChoice(for: target, rank: rank, workspace) { return own }
    if let dense = decomposed.dense {
      let cut = try DenseCut(
        of: delta, dense, rank: rank, factors: decomposed.mapFactors(rank: rank), workspace)
      return Choice(maps: cut.maps, inners: cut.inners, isTruncation: true, sum: cut.sum)
    }
    if let cut = try decomposed.cut(to: rank) {
      return Choice(maps: cut.maps, inners: cut.inners, isTruncation: moments == nil)
    }
    guard let weighing, let moments else { return nil }
    let core = try delta.core(in: workspace)
    let left = try core.outputDirections(weights: delta.weights, moments: moments, alike: weighing.alike).leading(rank)
    let maps = try core.decomposed(weights: delta.weights, left: left).factorMaps(rank: rank)
    return Choice(maps: maps, inners: try decomposed.inners(rank: rank), isTruncation: false)
  }

  /// What the recipe's method keeps of several adapters' sum, where that is not the sum's leading triples.
  private func methodsChoice(for target: OutputTarget, rank: Int, _ workspace: FactorWorkspace) throws -> Choice? {
    let delta = target.delta
    guard delta.terms.count > 1, !plan.recipe.method.isUsual else { return nil }
    let sum = SumToCut(delta: delta, sources: target.sources, core: try delta.core(in: workspace))
    guard let decomposition = try plan.recipe.method.decomposition(of: sum, rank: rank) else { return nil }
    precondition(
      decomposition.values.count == rank,
      "\(plan.recipe.method.name) kept \(decomposition.values.count) of \(rank) components")
    let inners = delta.terms.indices.map { term in
      zip(decomposition.values, decomposition.projections(of: sum.core.core(weights: delta.weights(ofTerm: term))))
        .reduce(0) { $0 + $1.0 * $1.1 }
    }
    return Choice(maps: decomposition.factorMaps(rank: rank), inners: inners, isTruncation: false)
  }

  // MARK: Result

  private func result(
    _ allocation: RankAllocation, output: String, errors: [Double], inners: [[Double]]
  ) -> RefactorResult {
    let entries = plan.targets.indices.map { index in
      RefactorResult.Entry(
        name: plan.targets[index].name, rankBefore: plan.targets[index].rankBefore, rankAfter: allocation.ranks[index],
        norm: targets[index].norm, error: errors[index])
    }
    return RefactorResult(
      output: output, bytes: allocation.bytes, lowerBound: allocation.lowerBound, weighted: allocation.weighted,
      entries: entries,
      shares: plan.isAnotherWork ? shares(inners) : [])
  }

  private func shares(_ inners: [[Double]]) -> [RefactorResult.Share] {
    plan.recipe.inputs.indices.map { adapter in
      var kept = 0.0, own = 0.0
      for (index, target) in plan.targets.enumerated() {
        for (place, term) in target.delta.terms.enumerated()
        where target.sources[place] == adapter && term.strength != 0 {
          kept += inners[index][place] / term.strength
          own += targets[index].termEnergies[place]
        }
      }
      return .init(
        file: plan.recipe.inputs[adapter].path, strength: plan.recipe.inputs[adapter].strength,
        retention: own > 0 ? kept / own : nil)
    }
  }
}
