/// The leading singular triples of a dense matrix.
public struct LeadingTriples: Sendable {
  /// How they are found.
  public enum Method: Sendable, Equatable {
    /// From all inner products of the shorter side, in double precision: everything is known exactly. Cost
    /// m·n·min(m, n) operations.
    case gram
    /// From a block Krylov space, in single precision: only the leading values are known, and their energy is short of
    /// the best by some hundredths of a per cent of the tail's. Cost about 12·m·n·k operations.
    case krylov
  }

  /// Descending.
  public let values: [Double]
  /// Left singular vectors as rows: count × m.
  public let u: Matrix
  /// Right singular vectors as rows: count × n.
  public let vt: Matrix
  /// ‖A‖²_F.
  public let energy: Double
  /// How the triples were found, which says how exact they are.
  public let method: Method

  /// ‖A − Σ σᵢuᵢvᵢᵀ‖²_F, exactly what these triples leave, whatever the method has missed.
  public var tailEnergy: Double { max(0, energy - values.reduce(0) { $0 + $1 * $1 }) }

  /// Up to this length of the shorter side all inner products are worth their time.
  static let longestGram = 1536

  /// Finds the triples that `choosing` asks for.
  ///
  /// - Parameters:
  ///   - first: how many values are looked for before `choosing` is asked for the first time; all are where the method
  ///     finds all anyway.
  ///   - limit: the most that are wanted.
  ///   - method: chosen by the matrix's size when `nil`.
  ///   - choosing: gets known values, descending, without those that rounding has drowned, and the energy of the
  ///     matrix; says how many are kept. When it keeps all that there are, it is asked again with more, up to `limit`.
  /// - Throws: `LinearAlgebraError` when an element is not finite or an iteration does not converge.
  public init(
    of a: DenseMatrix, first: Int, limit: Int, method: Method? = nil,
    memory: ReusableMemory<Double> = ReusableMemory<Double>(),
    choosing: (_ values: [Double], _ energy: Double) -> Int
  ) throws(LinearAlgebraError) {
    let limit = min(limit, a.fullRank), energy = a.energy
    self.energy = energy
    guard energy.isFinite else { throw LinearAlgebraError(.notFinite) }
    // Squares of tiny numbers vanish; such a matrix is nothing.
    guard energy > 0, limit > 0 else {
      self.method = method ?? .gram
      (values, u, vt) = ([], Matrix(zeros: 0, a.rows), Matrix(zeros: 0, a.columns))
      return
    }
    var count = min(max(first, 1), limit)
    while method == .krylov || (method == nil && Self.isKrylovBetter(a, count)) {
      let space = try BlockKrylov(of: a, count: count)
      let known = space.values.prefix(count).count
      let kept = min(choosing(Array(space.values.prefix(count)), energy), known)
      if kept < known || known < count || count == limit {
        (values, u, vt) = try space.triples(kept)
        self.method = .krylov
        return
      }
      count = min(4 * count, limit)
    }
    let gram = try GramDecomposition(of: a, memory: memory)
    let known = Array(gram.values.prefix(limit))
    (values, u, vt) = try gram.triples(min(choosing(known, energy), known.count), of: a, memory: memory)
    self.method = .gram
  }

  /// Whether the matrix is large, and a space for `count` triples small beside it.
  private static func isKrylovBetter(_ a: DenseMatrix, _ count: Int) -> Bool {
    a.fullRank > longestGram && 6 * count <= a.fullRank
  }
}

extension [Double] {
  /// Descending singular values without those below `floor` times the largest.
  func above(_ floor: Double) -> [Double] {
    guard let largest = first, largest > 0 else { return [] }
    return Array(prefix { $0 > floor * largest })
  }
}
