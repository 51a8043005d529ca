import Adapters
import LinearAlgebra
import Spectra

/// The leading components of a sum of deltas that has no factors, ready to be made.
struct DenseCut {
  /// To balanced factors of what is kept, in terms of `sum`.
  let maps: FactorMaps
  /// The inner product of each term's own delta, at strength 1, with what is kept.
  let inners: [Double]
  /// The matrix and an identity for its factors.
  let sum: DeltaSum

  /// - Parameters:
  ///   - known: of the sum; its vectors are found again where there are fewer than `rank`.
  ///   - factors: what the maps will be multiplied by on each side; `nil` for nothing.
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  init(
    of delta: DeltaSum, _ known: DenseSpectrum, rank: Int, factors: [Double]?, _ workspace: FactorWorkspace
  ) throws {
    let spectrum =
      known.vectors.rows >= rank ? known : try delta.denseSpectrum(vectors: rank, in: workspace).spectrum
    precondition(spectrum.vectors.rows >= rank, "\(rank) of \(spectrum.vectors.rows) components")
    let dense = try DenseSum(of: delta, along: spectrum.vectors.selecting(rows: 0..<rank), in: workspace)
    maps = spectrum.factorMaps(rank: rank, isWide: delta.isWide)
    var kept = Matrix(zeros: rank, delta.isWide ? delta.columns : delta.rows)
    for (image, term) in zip(dense.images, delta.terms) { kept.add(image, times: term.strength) }
    inners = dense.images.map { image in
      let products = image.rowProducts(kept)
      return zip(products, factors ?? products.map { _ in 1 }).reduce(0) { $0 + $1.0 * $1.1 * $1.1 }
    }
    let side = min(delta.rows, delta.columns)
    var identity = Matrix(zeros: side, side)
    for i in 0..<side { identity[i, i] = 1 }
    let (up, down) = delta.isWide ? (identity, dense.matrix) : (dense.matrix, identity)
    sum = try DeltaSum([.init(Target(up, down, inPlaceOf: delta.terms[0]), of: delta.terms[0].file)])
  }
}
