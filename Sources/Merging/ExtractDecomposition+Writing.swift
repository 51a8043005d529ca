import Adapters
import Files
import LinearAlgebra
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
  /// - Throws: `FileError` when the output cannot be written, `MergingError` when it does not hold what it should.
  public func write(
    _ allocation: RankAllocation, to output: String, overwriting: Bool, threads: Int,
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> ExtractResult {
    precondition(scratch != nil, "a decomposition for a prediction has no factors")
    let ranks = allocation.ranks, targets = plan.targets, places = factored
    let inputs = [plan.base, plan.tuned]
    let hashes = InBackground {
      inputs.map { $0.files.map { ContentHash.sha256(streaming: $0.contents.data) } }
    }
    let kept = places.filter { ranks[$0] > 0 }, keptRanks = places.map { ranks[$0] }
    let items = kept.flatMap { targets[$0].items(rank: ranks[$0], dtype: dtype) } + fullItems
    guard !items.isEmpty, !plan.format.dialect.isFolder || !kept.isEmpty else {
      throw MergingError(.unchanged(reason: "only differences that look like rounding"), path: plan.recipe.tuned)
    }
    let metadata = metadata
    let destination = try plan.place(output, ranks: kept.map { (targets[$0].name, ranks[$0]) })
    try destination.check(overwriting: overwriting)
    let files = try OutputFiles(destination, overwriting: overwriting)
    let layout = SafetensorsLayout(items, metadata: metadata.entries(ranks: keptRanks))
    precondition(layout.fileCount == allocation.bytes, "the file's size must be the one that was allocated")
    let writer = SafetensorsWriter(layout: layout, file: files.tensors)

    let factors = try scratch!.contents().bytes
    let order = targets.indices.sorted {
      (targets[$0].rows * targets[$0].columns, $1) > (targets[$1].rows * targets[$1].columns, $0)
    }
    let outcomes = try concurrentMap(
      count: targets.count, threads: threads, order: order, progress: progress, workspace: ExtractReader.init
    ) { index, reader in
      try write(index, rank: ranks[index], from: factors, reader, to: writer, path: output)
    }
    let inputHashes = try hashes.value()
    try writer.seal { data in
      let hash = ContentHash.sha256(data)
      return metadata.entries(
        ranks: keptRanks, inputHashes: inputHashes, dataHash: hash,
        legacyHash: DecomposedPlan.legacyHash(items, metadata: layout.metadata, data: data))
    }
    try RoundingLoss.check(outcomes.compactMap(\.loss), path: plan.recipe.tuned)
    try verify(writer.temporaryPath, scales: outcomes.map(\.scale), ranks, destination)
    let result = result(allocation, output: output, errors: outcomes.map(\.error))
    if case .ranks(.maxError(let limit)) = plan.recipe.rule, !(result.relativeError <= limit) {
      throw MergingError(
        .unreachableError(limit: limit, smallest: result.relativeError, dtype: dtype), path: output)
    }
    try Publication.publish([files.completed()])
    return result
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
    _ index: Int, rank: Int, from factors: Bytes, _ reader: ExtractReader, to writer: SafetensorsWriter, path: String
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
    _ target: ExtractTarget, as dtype: DType, _ reader: ExtractReader, to writer: SafetensorsWriter, path: String
  ) throws -> Double {
    let values = try reader.delta(of: target, plan).elements.map { Double($0) }
    let tensor = Tensor(values, shape: target.shape, dtype: dtype), stored = tensor.doubles()
    guard stored.allSatisfy(\.isFinite) else {
      throw MergingError(.overflow(target: target.weightName, dtype: dtype), path: path)
    }
    try tensor.bytes.withUnsafeBytes { try writer.write($0, of: target.names.up) }
    return zip(values, stored).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  private func writeFactors(
    _ found: ExtractFactors, _ target: ExtractTarget, rank: Int, from factors: Bytes, _ reader: ExtractReader,
    to writer: SafetensorsWriter, path: String
  ) throws -> Outcome {
    let up = reader.upRoom(target.rows * rank), down = reader.downRoom(rank * target.columns)
    load(found, target, rank: rank, from: factors, up: up, down: down)
    let stored = try reader.encoder.store(
      up: up, down: down, rank: rank, as: dtype, scaling: target.scaling, alpha: sharedAlpha, name: target.name,
      path: path)
    try stored.upBytes.withUnsafeBytes { try writer.write($0, of: target.names.up) }
    try stored.downBytes.withUnsafeBytes { try writer.write($0, of: target.names.down) }
    if let name = target.names.alpha {
      let alpha = Tensor([stored.scale * Double(rank)], shape: [], dtype: .f32)
      try alpha.bytes.withUnsafeBytes { try writer.write($0, of: name) }
    }
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

  private func result(_ allocation: RankAllocation, output: String, errors: [Double]) -> ExtractResult {
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
        if case .nothing(let reason) = target.holding { skipped.append("\(target.weightName): \(reason)") }
      }
    }
    return ExtractResult(
      output: output, bytes: allocation.bytes, entries: entries, full: full, equalCount: equal,
      withinRoundingCount: rounding, skipped: skipped, cappedCount: capped, dtype: dtype)
  }

  /// Reads the finished file as any reader would, and compares what it says with what was meant.
  private func verify(_ file: String, scales: [Double?], _ ranks: [Int], _ place: OutputPlace) throws {
    let written = try Adapter(tensorFile: file, configuration: place.configuration)
    func fault(_ target: String, _ what: String, _ expected: String, _ found: String) -> MergingError {
      MergingError(.verification(target: target, what: what, expected: expected, found: found), path: place.tensorFile)
    }
    let found = Dictionary(uniqueKeysWithValues: written.targets.map { ($0.names.up, $0) })
    let others = Set(written.unsupported.flatMap(\.tensors))
    for (index, target) in plan.targets.enumerated() {
      guard let scale = scales[index] else { continue }
      // Beside a bias the reader takes the whole module for a full change.
      if others.contains(target.names.up) { continue }
      guard let reread = found[target.names.up] else { throw fault(target.name, "name", target.name, "nothing") }
      guard reread.rank == ranks[index] else {
        throw fault(target.name, "rank", "\(ranks[index])", "\(reread.rank)")
      }
      guard (reread.scale - scale).magnitude <= 1e-12 * scale.magnitude else {
        throw fault(target.name, "scale", "\(scale)", "\(reread.scale)")
      }
      guard (reread.rows, reread.columns) == (target.rows, target.columns) else {
        throw fault(
          target.name, "shape", "\(target.rows) × \(target.columns)", "\(reread.rows) × \(reread.columns)")
      }
    }
  }
}
