import Tensors

/// The core of a convolution in Tucker form: outputs × inputs × kernel.
struct TuckerCore {
  private let values: [Double]
  private let outer: Int
  private let inner: Int
  private let points: Int

  init(_ core: Tensor) {
    (values, outer, inner) = (core.doubles(), core.shape[0], core.shape[1])
    points = core.shape.extents.dropFirst(2).reduce(1, *)
  }

  /// Σ_q core[p, q, k] · narrow[q, i] for each p, i and k.
  func multiply(_ narrow: [Double], inputs: Int, into place: UnsafeMutableBufferPointer<Double>) {
    place.update(repeating: 0)
    for p in 0..<outer {
      for q in 0..<inner {
        for i in 0..<inputs {
          let factor = narrow[q * inputs + i]
          for k in 0..<points {
            place[(p * inputs + i) * points + k] += values[(p * inner + q) * points + k] * factor
          }
        }
      }
    }
  }
}
