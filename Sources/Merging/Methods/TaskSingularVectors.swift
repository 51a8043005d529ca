public import Factoring
import LinearAlgebra

/// TSV-M: the adapters' singular vectors are turned until all of them stand at right angles, and keep their singular values
/// (Gargiulo and others, "Task Singular Vectors", 2025).
///
/// With U = [U₁ U₂ …] and V likewise the result is U⊥·Σ·V⊥ᵀ, ⊥ being the nearest matrix with orthonormal columns. All singular
/// vectors of the adapters take part where the weight has room for them, and otherwise of each its share of the strongest.
/// What several adapters have in common, to the last digit, is a direction once: there the nearest matrix is not the only one.
public struct TaskSingularVectors: MergeMethod {
  /// It has no settings.
  public init() {}

  /// As users and recipes write it: `tsv`.
  public var name: String { "tsv" }
  /// Always.
  public var combines: Bool { true }
  /// At equal strengths.
  public var measured: MeasuredMerge? { .init(loss: 1.072, character: 0.46, style: 0.94) }

  /// The turned vectors.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let room = min(deltas.rows, deltas.columns)
    var spaces = try deltas.factors().map { try SingularSpace(up: $0.up, down: $0.down) }
    if spaces.reduce(0, { $0 + $1.values.count }) > room {
      spaces = spaces.map { $0.prefix(max(1, room / spaces.count)) }
    }
    spaces.removeAll { $0.values.isEmpty }
    guard !spaces.isEmpty else { return nil }
    let left = try Self.orthonormal(Matrix(joining: spaces.map(\.u)))
    let right = try Self.orthonormal(Matrix(stacking: spaces.map(\.vt)).transposed)
    return .factors(up: left.scalingColumns(by: spaces.flatMap(\.values)), down: right.transposed, outside: 0)
  }

  /// The nearest matrix with orthonormal columns: P·Qᵀ of the singular value decomposition P·Σ·Qᵀ.
  static func orthonormal(_ vectors: Matrix) throws -> Matrix {
    let svd = try SingularValues(of: vectors)
    let count = svd.values.numericalRank(rows: vectors.rows, columns: vectors.columns)
    return svd.u.selecting(columns: 0..<count) * svd.vt.selecting(rows: 0..<count)
  }
}

extension SingularSpace {
  fileprivate func prefix(_ count: Int) -> SingularSpace {
    SingularSpace(
      u: u.selecting(columns: 0..<min(count, values.count)), values: Array(values.prefix(count)),
      vt: vt.selecting(rows: 0..<min(count, values.count)))
  }

  private init(u: Matrix, values: [Double], vt: Matrix) { (self.u, self.values, self.vt) = (u, values, vt) }
}
