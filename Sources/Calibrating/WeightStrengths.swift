public import Adapters
public import Checkpoints
public import Factoring
public import LinearAlgebra
import Tensors

/// How strong the weights of a base are in their strongest direction: what spikes of a delta are measured by.
public enum WeightStrengths {
  /// The largest singular value of the weight that each target of a plan changes; `nil` where the base has none.
  ///
  /// - Parameter threads: how many weights are read at once.
  /// - Throws: `CheckpointError` for a weight that cannot be read.
  public static func of(
    _ plan: RefactorPlan, in base: Checkpoint, threads: Int, progress: WorkProgress? = nil
  ) throws -> [Double?] {
    try of(plan.targets.map { LayerPlaces.weight(of: $0, in: base) }, base, threads, progress)
  }

  /// The same for the targets of an adapter, in its order.
  public static func of(
    _ adapter: Adapter, in base: Checkpoint, threads: Int, progress: WorkProgress? = nil
  ) throws -> [Double?] {
    let weights = adapter.targets.map {
      LayerPlaces.weight(of: $0.key, elements: $0.rows * $0.columns, in: base)
    }
    return try of(weights, base, threads, progress)
  }

  private static func of(
    _ weights: [NamedWeight?], _ base: Checkpoint, _ threads: Int, _ progress: WorkProgress?
  ) throws -> [Double?] {
    try concurrentMap(count: weights.count, threads: threads, progress: progress, workspace: {}) { index, _ in
      try weights[index].flatMap { try base.strength(of: $0) }
    }
  }
}

extension Checkpoint {
  /// The largest singular value, rows by all other dimensions; `nil` where numbers are not finite or there are none.
  ///
  /// Of a weight that is stored in pieces the largest of a piece's, which is at most that of the whole.
  fileprivate func strength(of weight: NamedWeight) throws -> Double? {
    var largest: Double?
    for piece in weight.pieces {
      let tensor = decodedTensor(weights[piece.stored])
      let rows = piece.storedRows.count
      let numbers = Tensor(
        dtype: tensor.dtype, shape: Shape([rows] + tensor.shape.extents.dropFirst()),
        bytes: tensor.bytes(ofRows: piece.storedRows)
      ).floats()
      guard rows > 0, !numbers.isEmpty else { continue }
      let value = try numbers.withUnsafeBufferPointer { numbers -> Double? in
        let matrix = DenseMatrix(numbers, rows: rows, columns: numbers.count / rows)
        guard matrix.energy.isFinite else { return nil }
        return try LeadingTriples(of: matrix, first: 1, limit: 1, method: .krylov) { values, _ in values.count }
          .values.first ?? 0
      }
      guard let value else { return nil }
      largest = max(largest ?? 0, value)
    }
    return largest
  }
}
