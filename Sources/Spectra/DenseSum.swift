package import LinearAlgebra

/// A sum of deltas of which some have no factors, as the matrix that it is.
package struct DenseSum {
  /// Σ strength · Dₜ, rows × columns.
  package private(set) var matrix: Matrix
  /// ‖Dₜ‖²_F of each term's own delta, at strength 1.
  package private(set) var energies: [Double] = []
  /// Each term's own delta in the directions that were asked for: a row for each of them.
  package private(set) var images: [Matrix] = []
  /// The size of the largest term, where terms may cancel; 0 for a single one.
  private(set) var size = 0.0

  /// - Parameter directions: rows of unit length on the shorter side, the outputs where both are as long.
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  package init(of delta: DeltaSum, along directions: Matrix? = nil, in workspace: FactorWorkspace) throws {
    matrix = Matrix(zeros: 0, 0)
    for term in delta.terms {
      let own = try DeltaSum([.init(term.target, of: term.file)]).product(in: workspace)
      let norm = own.frobeniusNorm
      guard norm.isFinite else { throw delta.explained(LinearAlgebraError(.notFinite)) }
      energies.append(norm * norm)
      if delta.terms.count > 1 { size = max(size, term.strength.magnitude * norm) }
      if let directions {
        images.append(delta.isWide ? directions * own : directions.timesTransposed(own))
      }
      if matrix.rows == 0 {
        matrix = own
        if term.strength != 1 { matrix.multiply(by: term.strength) }
      } else {
        matrix.add(own, times: term.strength)
      }
    }
    delta.forget()
  }
}

extension DeltaSum {
  /// Whether a term has no factors: the sum then is a matrix like any other, and has as many components as a side is long.
  package var isDense: Bool { terms.contains { $0.target.whole != nil } }

  /// Whether the shorter side is that of the outputs.
  package var isWide: Bool { rows <= columns }

  /// The singular values of a sum that is dense, with leading vectors of its shorter side, and each term's ‖Dₜ‖²_F at strength 1.
  ///
  /// - Parameter count: how many vectors are wanted.
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  package func denseSpectrum(
    vectors count: Int, in workspace: FactorWorkspace
  ) throws -> (spectrum: DenseSpectrum, energies: [Double]) {
    if terms.count == 1, terms[0].strength != 0, let spectrum = terms[0].target.kroneckerSpectrum(vectors: count) {
      let energy = spectrum.values.reduce(0) { $0 + $1 * $1 }
      return (terms[0].strength == 1 ? spectrum : spectrum.scaled(by: terms[0].strength), [energy])
    }
    let sum = try DenseSum(of: self, in: workspace)
    do {
      return (try DenseSpectrum(of: sum.matrix, vectors: count, size: sum.size), sum.energies)
    } catch {
      throw explained(error)
    }
  }

  /// The product of a single term at strength 1.
  fileprivate func product(in workspace: FactorWorkspace) -> Matrix {
    let target = terms[0].target
    guard let whole = target.whole else {
      load(into: workspace)
      let up = Matrix(rows: rows, columns: componentCount, elements: Array(workspace.up))
      return up.scalingColumns(by: weights)
        * Matrix(rows: componentCount, columns: columns, elements: Array(workspace.down))
    }
    var matrix = Matrix(rows: rows, columns: columns, elements: whole.doubles())
    if target.scale != 1 { matrix.multiply(by: target.scale) }
    return matrix
  }
}
