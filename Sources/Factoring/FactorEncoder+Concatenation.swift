import LinearAlgebra
import Platform
import Spectra
import Tensors

extension FactorEncoder {
  /// The factors of a sum's terms side by side, as they are but for scales.
  ///
  /// Where components are independent nothing holds the sum in fewer, and making others of them would round every number of both
  /// factors. So only what a term is multiplied by goes into its factors: powers of two into both, until their entries are of one
  /// size, and the rest into `up`. Where that is a power of two too, every stored number keeps its bits.
  ///
  /// - Parameter products: of the delta's factors.
  /// - Throws: `FactoringError.overflow` when a value does not fit the output's number format.
  func concatenate(_ target: OutputTarget, alpha: Double, products: ProductSpectrum, path: String) throws -> Encoded {
    let delta = target.delta, components = products.components, rank = components.count
    delta.load(into: factors)
    let up = upMemory.room(for: delta.rows * rank), down = downMemory.room(for: rank * delta.columns)
    let upProducts = products.upProducts, downProducts = products.downProducts
    let scale = storableScale(target.scaling, alpha: alpha, rank: rank), weights = delta.weights
    var ups = [Double](repeating: 0, count: rank), downs = ups
    for range in delta.ranges {
      let own = components.indices.filter { range.contains(components[$0]) }
      guard let first = own.first else { continue }
      let factor = weights[components[first]] / scale
      let upEnergy = own.reduce(0) { $0 + upProducts[$1, $1] } / Double(delta.rows)
      let downEnergy = own.reduce(0) { $0 + downProducts[$1, $1] } / Double(delta.columns)
      let shift = (log2(factor.magnitude) + (log2(upEnergy) - log2(downEnergy)) / 2) / 2
      let share = Double.power2(Int(shift.rounded()))
      for component in own { (ups[component], downs[component]) = (factor / share, share) }
    }
    let count = delta.componentCount
    for row in 0..<delta.rows {
      for (place, component) in components.enumerated() {
        up[row * rank + place] = factors.up[row * count + component] * ups[place]
      }
    }
    for (place, component) in components.enumerated() {
      let from = component * delta.columns, to = place * delta.columns, factor = downs[place]
      for i in 0..<delta.columns { down[to + i] = factors.down[from + i] * factor }
    }
    let storedUp = storedUpMemory.room(for: up.count), storedDown = storedDownMemory.room(for: down.count)
    let upBytes = try round(up, to: target.dtype, readingInto: storedUp, name: target.name, path: path)
    let downBytes = try round(down, to: target.dtype, readingInto: storedDown, name: target.name, path: path)
    // Δ' − Δ is what rounding made of one factor times the other; the two parts are independent, and their cross term is of higher
    // order.
    var lost = 0.0
    if Self.subtract(storedUp, from: up) {
      lost += Matrix(innerProductsOfColumns: UnsafeBufferPointer(up), count: rank).inner(
        downProducts.scalingRows(by: downs).scalingColumns(by: downs))
    }
    if Self.subtract(storedDown, from: down) {
      lost += Matrix(innerProductsOfRows: UnsafeBufferPointer(down), count: rank).inner(
        upProducts.scalingRows(by: ups).scalingColumns(by: ups))
    }
    lost = scale * scale * max(0, lost)
    return Encoded(
      up: upBytes, down: downBytes, scale: scale, magnitude: nil, error: lost.squareRoot(),
      loss: RoundingLoss(target: target.name, dtype: target.dtype, kept: products.energy, lost: lost))
  }

  /// - Returns: whether anything is left.
  private static func subtract(
    _ stored: UnsafeMutableBufferPointer<Double>, from exact: UnsafeMutableBufferPointer<Double>
  ) -> Bool {
    var isLeft = false
    for i in exact.indices {
      exact[i] -= stored[i]
      isLeft = isLeft || exact[i] != 0
    }
    return isLeft
  }
}
