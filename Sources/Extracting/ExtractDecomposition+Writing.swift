import Adapters
public import Factoring
import Files
public import LinearAlgebra
import Safetensors
import Tensors

extension ExtractDecomposition {
  /// What writing with the given ranks would give; rounding not included.
  public func prediction(_ allocation: RankAllocation, output: String) -> ExtractResult {
    result(
      allocation, output: output,
      errors: zip(changes, allocation.ranks).map { change, rank in change.factors?.error(rank: rank) ?? 0 })
  }

  /// Writes the adapter with the given ranks to `output`, reads it again, and only then gives it its name.
  ///
  /// - Parameters:
  ///   - output: a file, or for a PEFT adapter a folder.
  ///   - overwriting: whether existing files may be replaced.
  ///   - threads: how many targets are worked on at once; the bytes do not depend on it.
  /// - Precondition: the decomposition was made for an output.
  /// - Throws: `FileError` when the output cannot be written, `FactoringError` when it does not hold what it should.
  public func write(
    _ allocation: RankAllocation, to output: String, overwriting: Bool, threads: Int,
    progress: WorkProgress? = nil
  ) throws -> ExtractResult {
    let kept = factored.filter { allocation.ranks[$0] > 0 }
    guard !kept.isEmpty || !fullItems.isEmpty && !plan.format.dialect.isFolder else {
      throw ExtractingError(.unchanged(reason: "only differences that look like rounding"), path: plan.recipe.tuned)
    }
    let destination = try place(allocation, output)
    try destination.check(overwriting: overwriting)
    let (writer, result) = try write(
      allocation, to: try OutputFiles(destination, overwriting: overwriting), named: output, threads: threads, progress)
    try Publication.publish([writer.completed()])
    return result
  }

  /// Where the output goes, with the ranks that a configuration tells.
  func place(_ allocation: RankAllocation, _ output: String) throws -> OutputPlace {
    try plan.place(
      output, ranks: factored.filter { allocation.ranks[$0] > 0 }.map { (plan.targets[$0].name, allocation.ranks[$0]) })
  }

  func write(
    _ allocation: RankAllocation, to files: OutputFiles, named output: String, threads: Int, _ progress: WorkProgress?
  ) throws -> (AdapterWriter, ExtractResult) {
    precondition(scratch != nil, "a decomposition for a prediction has no factors")
    let ranks = allocation.ranks, targets = plan.targets, places = factored
    let hashes = InBackground { self.plan.inputHashes }
    let items = places.filter { ranks[$0] > 0 }.flatMap { targets[$0].items(rank: ranks[$0], dtype: dtype) } + fullItems
    let writer = AdapterWriter(items, metadata: metadata, ranks: places.map { ranks[$0] }, to: files)
    precondition(writer.byteCount == allocation.bytes, "the file's size must be the one that was allocated")

    let factors = try scratch!.contents().bytes
    let order = targets.indices.sorted {
      (targets[$0].rows * targets[$0].columns, $1) > (targets[$1].rows * targets[$1].columns, $0)
    }
    let outcomes = try concurrentMap(
      count: targets.count, threads: threads, order: order, progress: progress, workspace: ExtractReader.init
    ) { index, reader in
      try write(index, rank: ranks[index], from: factors, reader, to: writer, path: output)
    }
    try writer.seal(inputHashes: hashes.value())
    try RoundingLoss.check(outcomes.compactMap(\.loss), path: plan.recipe.tuned)
    try writer.reread(
      zip(targets, zip(ranks, outcomes)).compactMap { target, found in
        found.1.scale.map { target.expectation(rank: found.0, dtype: dtype, scale: $0) }
      }, isWhole: false)
    let result = result(allocation, output: output, errors: outcomes.map(\.error))
    if case .ranks(.maxError(let limit)) = plan.recipe.rule, !(result.relativeError <= limit) {
      throw FactoringError(
        .unreachableError(limit: limit, smallest: result.relativeError, dtype: dtype), path: output)
    }
    return (writer, result)
  }

  private struct Outcome: Sendable {
    /// ‖D − D'‖_F for what is stored.
    var error: Double
    /// The scale that the stored factors are to be multiplied by; `nil` for a target without.
    var scale: Double?
    /// Of a target with factors.
    var loss: RoundingLoss?
  }

  private func write(
    _ index: Int, rank: Int, from factors: Bytes, _ reader: ExtractReader, to writer: AdapterWriter, path: String
  ) throws -> Outcome {
    let change = changes[index]
    if let found = change.factors {
      guard rank > 0 else { return Outcome(error: change.norm, scale: nil) }
      return try writeFactors(found, plan.targets[index], rank: rank, from: factors, reader, to: writer, path: path)
    }
    guard let dtype = change.fullFormat else { return Outcome(error: 0, scale: nil) }
    return Outcome(
      error: try writeFull(plan.targets[index], as: dtype, reader, to: writer, path: path), scale: nil)
  }

  /// - Returns: ‖D − D'‖_F.
  private func writeFull(
    _ target: ExtractTarget, as dtype: DType, _ reader: ExtractReader, to writer: AdapterWriter, path: String
  ) throws -> Double {
    let values = try reader.delta(of: target, plan).elements.map { Double($0) }
    let tensor = Tensor(values, shape: target.shape, dtype: dtype), stored = tensor.doubles()
    guard stored.allSatisfy(\.isFinite) else {
      throw FactoringError(.overflow(target: target.weightName, dtype: dtype), path: path)
    }
    try writer.write(tensor, of: target.names.up)
    return zip(values, stored).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  private func writeFactors(
    _ found: ExtractFactors, _ target: ExtractTarget, rank: Int, from factors: Bytes, _ reader: ExtractReader,
    to writer: AdapterWriter, path: String
  ) throws -> Outcome {
    let up = reader.upRoom(target.rows * rank), down = reader.downRoom(rank * target.columns)
    load(found, target, rank: rank, from: factors, up: up, down: down)
    let stored = try reader.encoder.store(
      up: up, down: down, rank: rank, as: dtype, scaling: target.scaling, alpha: sharedAlpha, name: target.name,
      path: path)
    try writer.write(stored.upBytes, of: target.names.up)
    try writer.write(stored.downBytes, of: target.names.down)
    try writer.write(scale: stored.scale, as: target.scaling, rank: rank, of: target.names)
    let delta = try reader.delta(of: target, plan)
    let square = DenseMatrix(delta.elements, rows: target.rows, columns: target.columns).squaredDistance(
      toProductOf: UnsafeBufferPointer(stored.up), UnsafeBufferPointer(stored.down), rank: rank, scale: stored.scale,
      reader.panels)
    let cut = found.error(rank: rank) * found.error(rank: rank)
    return Outcome(
      error: square.squareRoot(), scale: stored.scale,
      loss: RoundingLoss(
        target: target.name, dtype: dtype, kept: found.written.prefix(rank).reduce(0) { $0 + $1 * $1 },
        lost: max(0, square - cut)))
  }

  /// Brings kept factors back: up as m × rank, down as rank × n.
  private func load(
    _ found: ExtractFactors, _ target: ExtractTarget, rank: Int, from factors: Bytes,
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>
  ) {
    let (rows, columns) = (target.rows, target.columns)
    factors.withUnsafeBytes { bytes in
      let start = bytes.baseAddress! + found.place
      for k in 0..<rank {
        for i in 0..<rows {
          up[i * rank + k] = Double(start.loadUnaligned(fromByteOffset: 4 * (k * rows + i), as: Float.self))
        }
      }
      let second = start + 4 * found.rank * rows
      for j in 0..<rank * columns { down[j] = Double(second.loadUnaligned(fromByteOffset: 4 * j, as: Float.self)) }
    }
  }

  // MARK: Result

  func result(_ allocation: RankAllocation, output: String, errors: [Double]) -> ExtractResult {
    var entries: [RefactorResult.Entry] = [], full: [RefactorResult.Entry] = [], skipped = plan.unmatched
    var equal = 0, rounding = 0, capped = 0
    for (index, target) in plan.targets.enumerated() {
      func entry(rank: Int) -> RefactorResult.Entry {
        .init(
          name: target.name, rankBefore: target.fullRank, rankAfter: rank, norm: changes[index].norm,
          error: errors[index])
      }
      switch changes[index].kind {
      case .equal: equal += 1
      case .withinRounding: rounding += 1
      case .factors:
        entries.append(entry(rank: allocation.ranks[index]))
        let isByName = plan.recipe.rule.fixedRank(isConvolution: false) != nil
        let rank = allocation.ranks[index]
        if !isByName, rank == plan.recipe.maxRank, rank < target.fullRank { capped += 1 }
      case .full: full.append(entry(rank: target.fullRank))
      case .notHeld:
        if let reason = target.reason { skipped.append("\(target.weightName): \(reason)") }
      }
    }
    return ExtractResult(
      output: output, bytes: allocation.bytes, entries: entries, full: full, equalCount: equal,
      withinRoundingCount: rounding, skipped: skipped, cappedCount: capped, dtype: dtype)
  }
}
