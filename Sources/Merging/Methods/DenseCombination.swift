import Factoring
import LinearAlgebra

extension DeltasToMerge {
  /// The members' deltas at their strengths, number by number: rows × columns each, row-major, in single precision.
  ///
  /// - Throws: `AdapterError` when a factor holds NaN or infinity.
  func dense() throws -> [[Float]] { try factors().map { ($0.up * $0.down).elements.map(Float.init) } }

  /// The leading components of a matrix of the weight's shape, as many as can be asked for.
  ///
  /// - Throws: `LinearAlgebraError` for numbers that are not finite.
  func leading(of merged: [Float]) throws -> Combination {
    try merged.withUnsafeBufferPointer { elements in
      let triples = try LeadingTriples(
        of: DenseMatrix(elements, rows: rows, columns: columns), first: limit, limit: limit
      ) { values, _ in values.count }
      let roots = triples.values.map { $0.squareRoot() }
      return .factors(
        up: triples.u.scalingRows(by: roots).transposed, down: triples.vt.scalingRows(by: roots),
        outside: triples.tailEnergy)
    }
  }
}
