import Synchronization
package import Tensors

/// A DoRA target taken apart, exactly: W₁ − W = c ⊙ ΔW + (c − 1) ⊙ W, with c = m ∕ (‖W + ΔW‖ + ε) for each row or input.
///
/// The first part has the rank of the factors; keeping c while that part is cut makes a DoRA of lower rank whose error is the
/// part's own.
package final class BoundMagnitude: Sendable {
  /// The lengths' tensor.
  package let name: String
  package let dtype: DType
  package let shape: Shape
  /// c ⊙ ΔW.
  package var lowRank: Target { change.added.scaled(by: { self.factors }, onRows: isOnRows) }

  private let change: MagnitudeChange
  private let weight: ComposedFactors.Block
  private let cache = Mutex<[Double]?>(nil)

  private var isOnRows: Bool { change.axis == .outputs }

  init(_ change: MagnitudeChange, on weight: ComposedFactors.Block) {
    (self.change, self.weight) = (change, weight)
    (name, dtype, shape) = (change.name, change.magnitude.dtype, change.magnitude.shape)
  }

  /// c, for each row or input.
  private var factors: [Double] {
    if let known = cache.withLock({ $0 }) { return known }
    let norms = norms(adding: change.added.product())
    // A row of zeros stays one.
    let factors = zip(change.magnitude.doubles(), norms).map { $1 > 0 ? $0 / $1 : 1 }
    cache.withLock { $0 = factors }
    return factors
  }

  private func norms(adding delta: [Double]) -> [Double] {
    let sum = zip(weight.values(), delta).map { $0 + $1 }
    return MagnitudeChange.norms(
      sum, rows: weight.rows, inputs: weight.inputs, points: weight.kernel.reduce(1, *), along: change.axis
    ).map { $0 + change.epsilon }
  }

  /// The lengths that keep c beside other factors.
  ///
  /// - Parameter delta: of those factors, rows × columns.
  package func lengths(adding delta: [Double]) -> Tensor {
    Tensor(zip(factors, norms(adding: delta)).map { $0 * $1 }, shape: shape, dtype: dtype)
  }

  /// Multiplies factors of ΔW by c, or divides those of c ⊙ ΔW by it.
  package func scale(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rank: Int, dividing: Bool
  ) {
    let factors = factors.map { dividing ? $0 == 0 ? 1 : 1 / $0 : $0 }
    if isOnRows {
      for i in up.indices { up[i] *= factors[i / rank] }
    } else {
      let points = weight.kernel.reduce(1, *)
      for i in down.indices { down[i] *= factors[i / points % weight.inputs] }
    }
  }
}

extension Target {
  /// The target with its delta's rows or inputs multiplied.
  fileprivate func scaled(by factors: @escaping @Sendable () -> [Double], onRows: Bool) -> Target {
    let (up, down, rank, inputs) = (up, down, rank, inputs)
    var (scaledUp, scaledDown) = (up, down)
    if onRows {
      scaledUp = Tensor(shape: up.shape) {
        let (values, own) = (up.doubles(), factors())
        return values.indices.map { values[$0] * own[$0 / rank] }
      }
    } else {
      let points = down.elementCount / max(down.shape[0] * inputs, 1)
      scaledDown = Tensor(shape: down.shape) {
        let (values, own) = (down.doubles(), factors())
        return values.indices.map { values[$0] * own[$0 / points % inputs] }
      }
    }
    return Target(
      name: name, key: key, kind: kind, up: scaledUp, down: scaledDown, mid: mid, names: names, alpha: alpha,
      scale: scale, isTransposed: isTransposed, algorithm: algorithm, storedRank: storedRank, stored: stored)
  }
}
