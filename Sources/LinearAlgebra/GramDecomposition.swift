/// The singular values of a dense matrix from the inner products of its shorter side.
///
/// Values below √(n·2⁻⁵³)·σ₁ are lost in the rounding of the products; those above are as good as any other way's, and
/// so is the energy of what any number of leading triples leaves.
struct GramDecomposition {
  /// Descending, without those that rounding has drowned.
  let values: [Double]
  private let eigen: SymmetricEigenvalues

  init(of a: DenseMatrix, memory: ReusableMemory<Double>) throws(LinearAlgebraError) {
    let order = a.fullRank, byColumns = a.columns <= a.rows
    var gram = [Double](repeating: 0, count: order * order)
    gram.withUnsafeMutableBufferPointer { gram in
      let target = gram.baseAddress!
      if byColumns {
        a.forEachRowPanel(memory) { _, count, panel in
          BLAS.addGram(panel, stride: order, transposed: true, order: order, inner: count, to: target)
        }
      } else {
        a.forEachColumnPanel(memory) { _, count, panel in
          BLAS.addGram(panel, stride: count, transposed: false, order: order, inner: count, to: target)
        }
      }
    }
    eigen = try SymmetricEigenvalues(upper: gram, order: order)
    values = eigen.values.map { max(0, $0).squareRoot() }.above((Double(order) * 0x1p-53).squareRoot())
  }

  /// - Returns: values, left and right vectors as rows. A times the right vectors gives the left ones (or the reverse),
  ///   so that their product is exactly a projection of A.
  func triples(
    _ count: Int, of a: DenseMatrix, memory: ReusableMemory<Double>
  ) throws(LinearAlgebraError) -> ([Double], Matrix, Matrix) {
    let short = try eigen.leadingVectors(count), isRight = a.columns <= a.rows
    let length = isRight ? a.rows : a.columns
    var long = Matrix(zeros: count, length)
    if count > 0 {
      short.elements.withUnsafeBufferPointer { short in
        long.elements.withUnsafeMutableBufferPointer { long in
          let (vectors, target) = (short.baseAddress!, long.baseAddress!)
          if isRight {
            a.forEachRowPanel(memory) { start, rows, panel in
              BLAS.multiply(
                vectors, a.columns, panel, a.columns, transposed: true, rows: count, inner: a.columns, columns: rows,
                into: target + start, length)
            }
          } else {
            a.forEachColumnPanel(memory) { start, columns, panel in
              BLAS.multiply(
                vectors, a.rows, panel, columns, transposed: false, rows: count, inner: a.rows, columns: columns,
                into: target + start, length)
            }
          }
        }
      }
    }
    let (norms, unit) = long.normalisedRows
    return isRight ? (norms, unit, short) : (norms, short, unit)
  }
}

extension Matrix {
  /// The lengths of the rows, and the rows divided by them.
  var normalisedRows: (lengths: [Double], unit: Matrix) {
    let lengths = (0..<rows).map { i in
      elements[i * columns..<(i + 1) * columns].reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    return (lengths, scalingRows(by: lengths.map { $0 > 0 ? 1 / $0 : 0 }))
  }
}
