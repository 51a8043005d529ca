import Adapters
import Files
import FoundationEssentials
import LinearAlgebra
import Safetensors
import Spectra
import Tensors

extension DecomposedPlan {
  /// What writing with the given ranks would give, from the spectra alone; rounding of the factors not included.
  public func prediction(_ allocation: RankAllocation, output: String) -> RefactorResult {
    result(
      allocation, output: output, errors: zip(spectra, allocation.ranks).map { $0.tailNorm(afterRank: $1) }, inners: nil
    )
  }

  /// Writes the adapter with the given ranks to `output`, reads it again, and only then gives it its name.
  ///
  /// - Parameters:
  ///   - output: a file, or for a PEFT adapter with a configuration a folder.
  ///   - overwriting: whether existing files may be replaced.
  ///   - threads: how many targets are worked on at once; the bytes do not depend on it.
  /// - Throws: `FileError` when the output cannot be written, `MergingError` when it does not hold what it should.
  public func write(
    _ allocation: RankAllocation, to output: String, overwriting: Bool, threads: Int,
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> RefactorResult {
    let hashes = InBackground { try self.plan.adapters.map(AdapterHashes.contentHash(of:)) }
    let ranks = allocation.ranks, targets = plan.targets
    guard ranks.contains(where: { $0 > 0 }) else { throw MergingError(.nothingLeft, path: plan.adapters[0].path) }
    let metadata = metadata(for: allocation.rule ?? plan.recipe.rule)
    let written = targets.indices.filter { ranks[$0] > 0 }
    let rankList = written.map { (name: targets[$0].name, rank: ranks[$0]) }
    let alphas = written.map { Double(ranks[$0]) * (copy($0, rank: ranks[$0])?.scale ?? 1) }
    let saysAlphas = zip(alphas, rankList).contains { $0 != Double($1.rank) }
    let items =
      written.flatMap { targets[$0].items(rank: ranks[$0]) }
      + plan.passedThrough.map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }
    let destination = try OutputPlace(output, plan: plan, ranks: rankList, alphas: saysAlphas ? alphas : nil)
    try destination.check(overwriting: overwriting, inPlaceOf: plan.replaceableInputs)
    let files = try OutputFiles(destination, overwriting: overwriting, inPlaceOf: plan.replaceableInputs)
    let layout = SafetensorsLayout(items, metadata: metadata.entries(ranks: ranks))
    precondition(layout.fileCount == allocation.bytes, "the file's size must be the one that was allocated")
    let writer = SafetensorsWriter(layout: layout, file: files.tensors)

    let outcomes = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { $0.delta.terms.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorEncoder.init
    ) { index, encoder in
      try writeTarget(index, rank: ranks[index], with: encoder, to: writer, path: output)
    }
    for (name, tensor) in plan.passedThrough { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }

    let inputHashes = try hashes.value()
    try writer.seal { data in
      let hash = ContentHash.sha256(data)
      return metadata.entries(
        ranks: ranks, inputHashes: inputHashes, dataHash: hash,
        legacyHash: Self.legacyHash(items, metadata: layout.metadata, data: data))
    }
    try RoundingLoss.check(outcomes.compactMap(\.loss), path: plan.adapters[0].path)
    try verify(writer.temporaryPath, scales: outcomes.map(\.scale), allocation, destination)
    let result = result(
      allocation, output: output, errors: outcomes.map(\.error), inners: outcomes.map(\.inners))
    if case .maxError(let limit) = plan.recipe.rule, !(result.relativeError <= limit) {
      // Factors whose rounding is worse than usual; nothing has its name yet.
      throw MergingError(
        .unreachableError(limit: limit, smallest: result.relativeError, dtype: roundingError.dtype), path: output)
    }
    try Publication.publish([files.completed()])
    return result
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
    _ index: Int, rank: Int, with encoder: FactorEncoder, to writer: SafetensorsWriter, path: String
  ) throws -> Outcome {
    let target = plan.targets[index], decomposed = targets[index], spectrum = decomposed.spectrum
    let available = spectrum.singularValues.count { $0 > 0 }
    guard rank > 0 else { return Outcome(error: spectrum.norm, scale: nil, inners: target.delta.terms.map { _ in 0 }) }
    if let copy = copy(index, rank: rank) { return try write(copy, of: target, rank: rank, to: writer) }
    guard available > 0 else {
      // A dead target that must stay: zero factors.
      for item in target.items(rank: rank) where item.name == target.names.up || item.name == target.names.down {
        try [UInt8](repeating: 0, count: item.byteCount).withUnsafeBytes { try writer.write($0, of: item.name) }
      }
      let scale = target.usesAlpha ? sharedAlpha / Double(rank) : 1
      try writeAlpha(of: target, scale: scale, rank: rank, to: writer)
      if let magnitude = target.magnitude {
        let nothing = [Double](repeating: 0, count: target.delta.rows * target.delta.columns)
        try magnitude.lengths(adding: nothing).bytes.withUnsafeBytes { try writer.write($0, of: magnitude.name) }
      }
      return Outcome(error: 0, scale: scale, inners: target.delta.terms.map { _ in 0 })
    }
    let isProjection = plan.recipe.isFair && rank < available && target.delta.terms.count > 1
    let fair = isProjection ? try fairMaps(target, rank: rank, encoder.factors) : nil
    let (maps, inners) =
      try fair ?? (
        decomposed.maps ?? recomputedMaps(target.delta, rank: rank, encoder.factors), decomposed.inners(rank: rank)
      )
    let encoded = try encoder.encode(
      target, alpha: sharedAlpha, maps: maps.prefix(rank), spectrum: spectrum, isTruncation: fair == nil, path: path)
    try encoded.up.withUnsafeBytes { try writer.write($0, of: target.names.up) }
    try encoded.down.withUnsafeBytes { try writer.write($0, of: target.names.down) }
    try writeAlpha(of: target, scale: encoded.scale, rank: rank, to: writer)
    if let name = target.magnitude?.name, let lengths = encoded.magnitude {
      try lengths.bytes.withUnsafeBytes { try writer.write($0, of: name) }
    }
    return Outcome(error: encoded.error, scale: encoded.scale, inners: inners, loss: encoded.loss)
  }

  private func write(
    _ copy: ExactCopy, of target: OutputTarget, rank: Int, to writer: SafetensorsWriter
  ) throws -> Outcome {
    let source = target.delta.terms[0].target
    for (name, tensor, factor) in [(target.names.up, source.up, copy.up), (target.names.down, source.down, copy.down)] {
      try ExactCopy.bytes(tensor, times: factor, as: target.dtype).withUnsafeBytes { try writer.write($0, of: name) }
    }
    try writeAlpha(of: target, scale: copy.scale, rank: rank, to: writer)
    return Outcome(error: 0, scale: copy.scale, inners: [])
  }

  private func writeAlpha(of target: OutputTarget, scale: Double, rank: Int, to writer: SafetensorsWriter) throws {
    guard let name = target.names.alpha else { return }
    let value = target.usesAlpha ? scale * Double(rank) : scale
    try Tensor([value], shape: [], dtype: .f32).bytes.withUnsafeBytes { try writer.write($0, of: name) }
  }

  private func recomputedMaps(_ delta: DeltaSum, rank: Int, _ workspace: FactorWorkspace) throws -> FactorMaps {
    try delta.core(in: workspace).decomposed(weights: delta.weights).factorMaps(rank: rank)
  }

  /// `nil` where the adapters' common directions cancel in the sum, so that its projection would not fill the rank.
  private func fairMaps(
    _ target: OutputTarget, rank: Int, _ workspace: FactorWorkspace
  ) throws -> (FactorMaps, [Double])? {
    let delta = target.delta
    let core = try delta.core(in: workspace)
    let own = delta.terms.indices.map { core.core(weights: delta.weights(ofTerm: $0)) }
    // An adapter that has the module in parts is heard once.
    var heard: [Matrix] = [], heardOf: [Int: (place: Int, strength: Double)] = [:]
    for (index, term) in delta.terms.enumerated() where term.strength != 0 {
      let source = target.sources[index]
      if let known = heardOf[source] {
        let core: Matrix = (term.strength / known.strength) * own[index]
        heard[known.place] = heard[known.place] + core
      } else {
        heardOf[source] = (heard.count, term.strength)
        heard.append(own[index])
      }
    }
    let spaces = try FairProjection.spaces(for: heard, rank: rank)
    let decomposition = try core.decomposed(weights: delta.weights, left: spaces.left, right: spaces.right)
    guard decomposition.numericalRank(rows: delta.rows, columns: delta.columns) >= rank else { return nil }
    let inners = own.map { own in
      zip(decomposition.values, decomposition.projections(of: own)).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return (decomposition.factorMaps(rank: rank), inners)
  }

  // MARK: Result

  private func result(
    _ allocation: RankAllocation, output: String, errors: [Double], inners: [[Double]]?
  ) -> RefactorResult {
    let entries = plan.targets.indices.map { index in
      RefactorResult.Entry(
        name: plan.targets[index].name, rankBefore: plan.targets[index].rankBefore, rankAfter: allocation.ranks[index],
        norm: spectra[index].norm, error: errors[index])
    }
    let inners = inners ?? zip(targets, allocation.ranks).map { $0.inners(rank: $1) }
    return RefactorResult(
      output: output, bytes: allocation.bytes, lowerBound: allocation.lowerBound, entries: entries,
      shares: plan.recipe.operation == .merge ? shares(inners) : [])
  }

  private func shares(_ inners: [[Double]]) -> [RefactorResult.Share] {
    plan.recipe.inputs.indices.map { adapter in
      var kept = 0.0, own = 0.0
      for (index, target) in plan.targets.enumerated() {
        for (place, term) in target.delta.terms.enumerated()
        where target.sources[place] == adapter && term.strength != 0 {
          kept += inners[index][place] / term.strength
          own += targets[index].terms[place].energy
        }
      }
      return .init(
        file: plan.recipe.inputs[adapter].path, strength: plan.recipe.inputs[adapter].strength,
        retention: own > 0 ? kept / own : nil)
    }
  }

  // MARK: Verification and hashes

  /// Reads the finished file as any reader would, and compares what it says with what was meant.
  private func verify(_ file: String, scales: [Double?], _ allocation: RankAllocation, _ place: OutputPlace) throws {
    let written = try Adapter(tensorFile: file, configuration: place.configuration)
    try written.keepingReplacements.withoutMagnitudes.requireWorkable(allowingUnknown: false)
    func fault(_ target: String, _ what: String, _ expected: String, _ found: String) -> MergingError {
      MergingError(.verification(target: target, what: what, expected: expected, found: found), path: place.tensorFile)
    }
    let found = Dictionary(
      uniqueKeysWithValues: written.withoutMagnitudes.targets.filter { $0.kind != .vector }.map { ($0.names.up, $0) })
    let count = allocation.ranks.count { $0 > 0 }
    guard found.count == count else { throw fault("targets", "count", "\(count)", "\(found.count)") }
    for (index, target) in plan.targets.enumerated() {
      guard let scale = scales[index] else { continue }
      guard let reread = found[target.names.up] else { throw fault(target.name, "name", target.name, "nothing") }
      guard reread.rank == allocation.ranks[index] else {
        throw fault(target.name, "rank", "\(allocation.ranks[index])", "\(reread.rank)")
      }
      let isEqual = (reread.scale - scale).magnitude <= 1e-12 * scale.magnitude
      guard isEqual else { throw fault(target.name, "scale", "\(scale)", "\(reread.scale)") }
      guard (reread.rows, reread.columns) == (target.delta.rows, target.delta.columns) else {
        throw fault(
          target.name, "shape", "\(target.delta.rows) × \(target.delta.columns)", "\(reread.rows) × \(reread.columns)")
      }
    }
  }

  /// Kohya's old short hash: of 64 KiB from the file's second mebibyte on, were its metadata only the training's.
  static func legacyHash(
    _ items: [SafetensorsLayout.Item], metadata: [(key: String, value: String)], data: Bytes
  ) -> String {
    let head = SafetensorsLayout(items, metadata: metadata.filter { $0.key.hasPrefix("ss_") }).head().count
    let start = min(max(0, 0x100000 - head), data.count), end = min(start + 0x10000, data.count)
    return String(ContentHash.sha256(data[start..<end]).prefix(8))
  }
}

extension DecomposedTarget {
  /// ⟨D_t, S_k⟩ for each term, S_k being the sum truncated to `rank`.
  func inners(rank: Int) -> [Double] {
    terms.map { term in zip(spectrum.singularValues, term.projections).prefix(rank).reduce(0) { $0 + $1.0 * $1.1 } }
  }
}
