package import CArithmetic

/// How a sum of a base weight and a delta becomes a stored number.
public enum Rounding: String, Sendable, CaseIterable {
  /// The nearest number, ties to even. A delta below half a step of the format is lost.
  case nearest
  /// One of the two neighbours at random, so that the mean is exact. Reproducible: drawn from the weight's name and place.
  case stochastic
  /// One of the two neighbours, chosen so that the error is not heard in the directions in which the delta is.
  case shaped
}

/// What became of a delta when base + delta was rounded: sums over all weights, which add up over parts.
///
/// With W the base, D the delta and Q what is stored.
public struct Survival: Sendable, Equatable {
  /// ‖D‖².
  public var deltaEnergy = 0.0
  /// ⟨Q − W, D⟩.
  public var projection = 0.0
  /// ‖Q − (W + D)‖².
  public var residualEnergy = 0.0
  /// Weights for which Q differs from W.
  public var movedCount = 0
  /// All weights.
  public var count = 0
  /// Sums beyond the largest number of a format, which became that number; changes of what has no step.
  public var clampedCount = 0
  /// Sums that are NaN or infinite.
  public var notFiniteCount = 0

  /// Of no weights: all sums are 0.
  public init() {}

  /// The share of the delta that is in the stored weights: ⟨Q − W, D⟩ ÷ ‖D‖². `nil` for a zero delta.
  public var share: Double? { deltaEnergy > 0 ? projection / deltaEnergy : nil }
  /// ‖Q − (W + D)‖ ÷ ‖D‖. `nil` for a zero delta.
  public var residual: Double? { deltaEnergy > 0 ? (residualEnergy / deltaEnergy).squareRoot() : nil }
  /// The share of weights that moved at all.
  public var moved: Double { count > 0 ? Double(movedCount) / Double(count) : 0 }

  /// Adds the sums of another part of the weights, so that shares are of both together.
  public static func += (total: inout Survival, part: Survival) {
    total.deltaEnergy += part.deltaEnergy
    total.projection += part.projection
    total.residualEnergy += part.residualEnergy
    total.movedCount += part.movedCount
    total.count += part.count
    total.clampedCount += part.clampedCount
    total.notFiniteCount += part.notFiniteCount
  }
}

/// A storage format for sums of weights and deltas, and how they are rounded to it.
public struct SumRounding: Sendable {
  /// The format that sums are stored in.
  public let dtype: DType
  private let format: lathe_format

  /// `nil` for formats that weights are not stored in.
  public init?(_ dtype: DType) {
    guard let format = Self.format(dtype) else { return nil }
    (self.dtype, self.format) = (dtype, format)
  }

  private static func format(_ dtype: DType) -> lathe_format? {
    switch dtype {
    case .f32: LATHE_F32
    case .f16: LATHE_F16
    case .bf16: LATHE_BF16
    case .f8e4m3: LATHE_F8_E4M3
    case .f8e5m2: LATHE_F8_E5M2
    default: nil
    }
  }

  /// The largest finite number of the format.
  public var largest: Float {
    switch dtype {
    case .f8e4m3: 448
    case .f8e5m2: 57344
    case .f16: 65504
    default: .greatestFiniteMagnitude
    }
  }

  /// Stored elements as numbers, times `scale`.
  public func widen(_ source: UnsafeRawPointer, scale: Float = 1, into target: UnsafeMutableBufferPointer<Float>) {
    lathe_widen(format, source, scale, target.baseAddress!, target.count)
  }

  /// Stores nearest(base + delta), where the stored number stands for itself times `scale`.
  public func roundNearest(
    base: UnsafePointer<Float>, delta: UnsafePointer<Float>, scale: Float = 1, count: Int,
    into target: UnsafeMutableRawPointer, counting survival: inout Survival
  ) {
    survival.account(count) { lathe_round_nearest(format, base, delta, scale, target, count, $0) }
  }

  /// Stores base + delta rounded at random; element i draws from counter `first + i` of the generator `seed`.
  public func roundStochastically(
    base: UnsafePointer<Float>, delta: UnsafePointer<Float>, scale: Float = 1, count: Int, seed: UInt64, first: Int,
    into target: UnsafeMutableRawPointer, counting survival: inout Survival
  ) {
    survival.account(count) {
      lathe_round_stochastic(format, base, delta, scale, target, count, seed, UInt64(first), $0)
    }
  }

  /// Stores base + delta with the error kept out of the directions of `space`.
  ///
  /// - Parameters:
  ///   - scales: one for each row.
  ///   - space: of the delta's inputs.
  public func roundShaped(
    base: UnsafePointer<Float>, delta: UnsafePointer<Float>, scales: UnsafeBufferPointer<Float>, rows: Int,
    space: ShapingSpace, into target: UnsafeMutableRawPointer, counting survival: inout Survival
  ) {
    let columns = space.columns, bytes = dtype.bits / 8
    for row in stride(from: 0, to: rows, by: 16) {
      let batch = min(16, rows - row)
      survival.account(batch * columns) {
        lathe_round_shaped(
          format, base + row * columns, delta + row * columns, scales.baseAddress! + row,
          target + row * columns * bytes, batch, columns, space.directions, space.weights, space.rank, $0)
      }
    }
  }

  /// The largest |base + delta|.
  public static func largestSum(base: UnsafePointer<Float>, delta: UnsafePointer<Float>, count: Int) -> Float {
    lathe_largest_sum(base, delta, count)
  }
}

extension Survival {
  /// Adds what a loop over `count` numbers has counted.
  package mutating func account(_ count: Int, _ body: (UnsafeMutablePointer<lathe_survival>) -> Void) {
    var sums = lathe_survival()
    body(&sums)
    deltaEnergy += sums.delta
    projection += sums.projection
    residualEnergy += sums.residual
    movedCount += Int(sums.moved)
    notFiniteCount += Int(sums.not_finite)
    clampedCount += Int(sums.clamped)
    self.count += count
  }
}

/// Orthonormal directions of a weight's inputs in which rounding errors are to stay small.
public struct ShapingSpace: Sendable {
  /// Inputs of the weight.
  public let columns: Int
  /// How many directions there are.
  public let rank: Int
  /// columns × rank: row j holds what each direction hears of input j.
  package let directions: [Float]
  /// For each column ‖v‖² plus λ times its mean.
  package let weights: [Float]

  /// - Parameters:
  ///   - directions: rank × columns, row-major, orthonormal rows.
  ///   - lambda: what the error itself counts beside its response.
  public init(directions rows: [Float], rank: Int, columns: Int, lambda: Float = 1) {
    precondition(rows.count == rank * columns, "\(rows.count) numbers for \(rank) × \(columns)")
    (self.rank, self.columns) = (rank, columns)
    directions = [Float](unsafeUninitializedCapacity: rows.count) { target, count in
      for k in 0..<rank { for j in 0..<columns { target[j * rank + k] = rows[k * columns + j] } }
      count = rows.count
    }
    let own = lambda * Float(rank) / Float(columns)
    weights = (0..<columns).map { j in (0..<rank).reduce(own) { $0 + rows[$1 * columns + j] * rows[$1 * columns + j] } }
  }
}
