import Factoring
import Platform
import Tensors

/// What rounding adds to the difference of two checkpoints, and which singular values it can explain.
///
/// Rounding a number to a format adds an error that is uniform over one unit in the last place, so its variance is
/// ulp² ÷ 12; the checkpoint tells it, and nothing has to be fitted. A matrix of such noise has singular values up to
/// σₙ·(√m + √n) (Marchenko and Pastur 1967).
struct NoiseEdge {
  let rows: Int
  let columns: Int
  /// σₙ, the standard deviation of an element's noise.
  let deviation: Double

  /// Singular values above this are not noise. The largest of pure noise scatters about the edge by a share of about
  /// n^(−2/3), n being the shorter side (Tracy and Widom); that much more is asked.
  var level: Double {
    let edge = deviation * (Double(rows).squareRoot() + Double(columns).squareRoot())
    return edge * (1 + pow(Double(min(rows, columns)), -2 / 3))
  }

  /// The singular value that was probably there before the noise: the shrinkage with the least expected error in the
  /// Frobenius norm (Gavish and Donoho, "Optimal shrinkage of singular values", 2017).
  func shrunk(_ value: Double) -> Double {
    let unit = Double(max(rows, columns)).squareRoot() * deviation
    guard unit > 0 else { return value }
    let beta = Double(min(rows, columns)) / Double(max(rows, columns)), z = value / unit
    let inner = (z * z - beta - 1) * (z * z - beta - 1) - 4 * beta
    guard z * z > 1 + beta, inner > 0 else { return 0 }
    return unit * inner.squareRoot() / z
  }
}

extension NoiseEdge {
  /// The one of two edges that fits the values: by what is left of the energy when everything above the higher one is
  /// taken away, for each degree of freedom that is left.
  static func fitting(_ values: [Double], energy: Double, low: NoiseEdge, high: NoiseEdge) -> NoiseEdge {
    let above = values.prefix { $0 > high.level }
    let rest = energy - above.reduce(0) { $0 + $1 * $1 }
    let freedom = Double((low.rows - above.count) * (low.columns - above.count))
    let middle = (low.deviation * low.deviation + high.deviation * high.deviation) / 2
    return freedom > 0 && rest > middle * freedom ? high : low
  }
}

/// The spacing of a number format: what one unit in the last place is worth.
struct UnitInTheLastPlace {
  private let fractionBits: Int
  private let smallestExponent: Int

  /// - Parameter isScaled: whether the stored numbers were multiplied by a factor, which moves the smallest exponent
  ///   away.
  init(_ dtype: DType, isScaled: Bool = false) {
    let (bits, exponent) =
      switch dtype {
      case .f64: (52, -126)
      case .bf16: (7, -126)
      case .f16: (10, -14)
      case .f8e4m3: (3, -6)
      case .f8e5m2: (2, -14)
      default: (23, -126)
      }
    (fractionBits, smallestExponent) = (bits, isScaled ? -126 : exponent)
  }

  /// Σ ulp(x)² over numbers of the format. Infinite when one is not finite.
  func squares(_ values: UnsafeBufferPointer<Float>) -> Double {
    let least = SIMD8<Float>(repeating: Float(sign: .plus, exponent: smallestExponent, significand: 1))
    let mask = SIMD8<UInt32>(repeating: 0x7f80_0000)
    var sums = SIMD8<Double>(), index = 0
    func powers(_ bits: SIMD8<UInt32>) -> SIMD8<Double> {
      let power = unsafeBitCast(bits & mask, to: SIMD8<Float>.self)
      return SIMD8<Double>(power.replacing(with: least, where: power .< least))
    }
    while index + 8 <= values.count {
      let part = powers(UnsafeRawPointer(values.baseAddress! + index).loadUnaligned(as: SIMD8<UInt32>.self))
      sums += part * part
      index += 8
    }
    var sum = sums.sum()
    while index < values.count {
      let part = powers(SIMD8(repeating: values[index].bitPattern))[0]
      sum += part * part
      index += 1
    }
    return sum * Double(sign: .plus, exponent: -2 * fractionBits, significand: 1)
  }
}
