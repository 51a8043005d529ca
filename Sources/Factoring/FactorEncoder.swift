package import LinearAlgebra
package import Spectra
package import Tensors

/// Makes the stored factors of one target from its delta and measures what was really stored.
package final class FactorEncoder {
  package let factors = FactorWorkspace()
  let upMemory = ReusableMemory<Double>(), downMemory = ReusableMemory<Double>()
  let storedUpMemory = ReusableMemory<Double>(), storedDownMemory = ReusableMemory<Double>()

  package init() {}

  /// Encoded factors, with the scale that makes their product the delta.
  package struct Encoded {
    package let up: [UInt8]
    package let down: [UInt8]
    package let scale: Double
    /// Of a DoRA the lengths that go with the factors.
    package let magnitude: Tensor?
    /// ‖Δ − Δ'‖_F for the delta Δ' of the encoded factors.
    package let error: Double
    /// What rounding has made of the delta that was to be stored.
    package let loss: RoundingLoss
  }

  /// - Parameters:
  ///   - alpha: the file's common alpha.
  ///   - maps: the kept singular triples in terms of the delta's factors.
  ///   - spectrum: of the delta.
  ///   - isTruncation: whether the maps keep the leading triples of the delta itself, so that what is cut off is its
  ///     tail; false for projections.
  /// - Throws: `FactoringError.overflow` when a value does not fit the output's number format.
  package func encode(
    _ target: OutputTarget, alpha: Double, maps: FactorMaps, spectrum: Spectrum, isTruncation: Bool, path: String
  ) throws -> Encoded {
    let delta = target.delta, rank = maps.rank
    let parts = FactorParts(of: delta, in: factors)
    let up = upMemory.room(for: delta.rows * rank), down = downMemory.room(for: rank * delta.columns)
    parts.forEachUp { rows, values in
      maps.mapUp(
        UnsafeBufferPointer(values), rows: rows.count,
        into: UnsafeMutableBufferPointer(rebasing: up[rows.lowerBound * rank..<rows.upperBound * rank]))
    }
    parts.forEachDown { columns, values in
      maps.mapDown(UnsafeBufferPointer(values), columns: columns, into: down)
    }
    target.magnitude?.scale(up: up, down: down, rank: rank, dividing: true)
    let stored = try store(
      up: up, down: down, rank: rank, as: target.dtype, scaling: target.scaling, alpha: alpha, name: target.name,
      path: path)
    let magnitude = target.magnitude.map { magnitude in
      let product = reproducibleProduct(
        stored.up.map { $0 * stored.scale }, Array(stored.down), rows: delta.rows, rank: rank, columns: delta.columns)
      // Errors are those of the delta, not of the factors.
      magnitude.scale(up: up, down: down, rank: rank, dividing: false)
      magnitude.scale(up: stored.up, down: stored.down, rank: rank, dividing: false)
      return magnitude.lengths(adding: product)
    }
    let (error, kept, lost) = measure(
      parts, of: delta, spectrum: spectrum, exact: (up, down), stored: (stored.up, stored.down), rank: rank,
      scale: stored.scale,
      isTruncation: isTruncation)
    return Encoded(
      up: stored.upBytes, down: stored.downBytes, scale: stored.scale, magnitude: magnitude, error: error,
      loss: RoundingLoss(target: target.name, dtype: target.dtype, kept: kept, lost: lost))
  }

  /// Factors as they are stored, and the numbers that a reader gets from them (valid until the next call).
  package struct Stored {
    package let upBytes: [UInt8]
    package let downBytes: [UInt8]
    package let up: UnsafeMutableBufferPointer<Double>
    package let down: UnsafeMutableBufferPointer<Double>
    /// What makes their product the delta.
    package let scale: Double
  }

  /// Scales balanced factors of a delta and rounds them once.
  ///
  /// - Parameters:
  ///   - up: m × rank, brought to canonical signs and scaled in place; `down` likewise.
  ///   - alpha: the file's common alpha, where the scaling is by alpha.
  ///   - name: of the target; `path` of the output.
  /// - Throws: `FactoringError.overflow` when a value does not fit `dtype`.
  package func store(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rank: Int, as dtype: DType,
    scaling: OutputTarget.Scaling, alpha: Double, name: String, path: String
  ) throws -> Stored {
    fixSigns(up: up, down: down, rank: rank, columns: down.count / rank)
    var gauge = EightBitGauge.none, scale = storableScale(scaling, alpha: alpha, rank: rank, gauge: gauge)
    if dtype.bits == 8 {
      gauge = EightBitGauge(up: up, down: down, dividedBy: scale.magnitude.squareRoot())
      scale = storableScale(scaling, alpha: alpha, rank: rank, gauge: gauge)
    }
    // Both sides take an equal part of the scale, but for its sign and for what the gauge gives to each.
    let root = (scale.magnitude * gauge.up * gauge.down).squareRoot()
    multiply(up, by: gauge.up / root)
    multiply(down, by: gauge.down / root * (scale < 0 ? -1 : 1))

    let storedUp = storedUpMemory.room(for: up.count), storedDown = storedDownMemory.room(for: down.count)
    let upBytes = try round(up, to: dtype, readingInto: storedUp, name: name, path: path)
    let downBytes = try round(down, to: dtype, readingInto: storedDown, name: name, path: path)
    return Stored(upBytes: upBytes, downBytes: downBytes, up: storedUp, down: storedDown, scale: scale)
  }

  /// Makes the largest entry of each column of `up` positive, so that equal input gives equal files.
  private func fixSigns(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rank: Int, columns: Int
  ) {
    var largest = [Double](repeating: 0, count: rank)
    for start in stride(from: 0, to: up.count, by: rank) {
      for j in 0..<rank where up[start + j].magnitude > largest[j].magnitude { largest[j] = up[start + j] }
    }
    guard largest.contains(where: { $0 < 0 }) else { return }
    for start in stride(from: 0, to: up.count, by: rank) {
      for j in 0..<rank where largest[j] < 0 { up[start + j].negate() }
    }
    for j in 0..<rank where largest[j] < 0 { for i in 0..<columns { down[j * columns + i].negate() } }
  }

  /// What the product of the stored factors is multiplied by, as a reader will compute it from what is stored.
  func storableScale(
    _ scaling: OutputTarget.Scaling, alpha: Double, rank: Int, gauge: EightBitGauge = .none
  ) -> Double {
    let gain = gauge.up * gauge.down
    switch scaling {
    case .none: return 1
    case .scale(let scale): return SharedAlpha.storable(scale / gain)
    case .alpha: return SharedAlpha.storable(alpha / gain) / Double(rank)
    }
  }

  private func multiply(_ values: UnsafeMutableBufferPointer<Double>, by factor: Double) {
    guard factor != 1 else { return }
    for i in values.indices { values[i] *= factor }
  }

  func round(
    _ values: UnsafeMutableBufferPointer<Double>, to dtype: DType,
    readingInto stored: UnsafeMutableBufferPointer<Double>, name: String, path: String
  ) throws -> [UInt8] {
    let bytes = [UInt8](unsafeUninitializedCapacity: values.count * dtype.bits / 8) { buffer, count in
      count = values.count * dtype.bits / 8
      dtype.encode(
        UnsafeBufferPointer(values),
        into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
    }
    bytes.withUnsafeBytes { dtype.decode($0, into: stored) }
    guard stored.allSatisfy(\.isFinite) else {
      throw FactoringError(.overflow(target: name, dtype: dtype), path: path)
    }
    return bytes
  }

  /// ‖Δ − Δ'‖_F of what is stored, against the source's own factors; ‖Δ_k‖² of what was to be stored, and ‖Δ_k − Δ'‖².
  ///
  /// Normally from ‖Δ‖² − 2⟨Δ, Δ'⟩ + ‖Δ'‖², which trusts nothing of how Δ' was made. Close to exactness that difference
  /// drowns in rounding; there it is the tail that was cut off and the change that rounding the factors made, which are
  /// orthogonal to first order.
  private func measure(
    _ parts: FactorParts, of delta: DeltaSum, spectrum: Spectrum,
    exact: (up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>),
    stored: (up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>), rank: Int,
    scale: Double,
    isTruncation: Bool
  ) -> (error: Double, kept: Double, lost: Double) {
    let weights = [Double](repeating: scale, count: rank)
    let written = FactoredProduct(
      up: stored.up, down: stored.down, rows: delta.rows, columns: delta.columns, weights: weights)
    let energy = spectrum.energy
    let square =
      energy - 2 * parts.inner(up: stored.up, down: stored.down, rank: rank, scale: scale) + written.inner(written)
    let tail = spectrum.tailNorm(afterRank: rank)
    guard square <= 1e-10 * energy || !isTruncation else {
      return (square.squareRoot(), energy - tail * tail, max(0, square - tail * tail))
    }
    let whole = FactoredProduct(
      up: exact.up, down: exact.down, rows: delta.rows, columns: delta.columns, weights: weights)
    let kept = isTruncation ? energy - tail * tail : whole.inner(whole)
    // Δ_k − Δ' = (up − up')·down + up'·(down − down'), factors of twice the rank.
    for i in exact.up.indices { exact.up[i] -= stored.up[i] }
    let first = FactoredProduct(
      up: exact.up, down: exact.down, rows: delta.rows, columns: delta.columns, weights: weights)
    let firstSquare = first.inner(first)
    for i in exact.down.indices { exact.down[i] -= stored.down[i] }
    let second = FactoredProduct(
      up: stored.up, down: exact.down, rows: delta.rows, columns: delta.columns, weights: weights)
    // The two parts are independent roundings; their cross term is of higher order.
    let lost = firstSquare + second.inner(second)
    return (isTruncation ? (tail * tail + lost).squareRoot() : max(0, square).squareRoot(), kept, lost)
  }
}

/// Powers of two that enlarge the factors of a target for an eight-bit format, until the largest entry of each is just
/// below 240 (E4M3 reaches 448, and its precision ends at 2⁻⁶); the scale takes them back.
struct EightBitGauge {
  let up: Double
  let down: Double

  static let none = EightBitGauge(up: 1, down: 1)

  private init(up: Double, down: Double) { (self.up, self.down) = (up, down) }

  /// - Parameter share: of the scale, by which both will be divided.
  init(up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, dividedBy share: Double) {
    func gauge(_ values: UnsafeMutableBufferPointer<Double>) -> Double {
      let largest = values.reduce(Double.leastNormalMagnitude) { max($0, $1.magnitude) }
      return .power2((240 * share / largest).boundedExponent)
    }
    self.init(up: gauge(up), down: gauge(down))
  }
}
