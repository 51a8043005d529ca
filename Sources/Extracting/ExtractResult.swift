public import Factoring
public import Tensors

/// What an extraction wrote, measured on the stored numbers.
public struct ExtractResult: Sendable {
  /// The adapter's file or folder, as the user named it.
  public let output: String
  /// The size of the tensor file.
  public let bytes: Int
  /// Targets with factors, in the base's order; those that were left out have rank 0. Their rank before is the full
  /// rank of the weight.
  public let entries: [RefactorResult.Entry]
  /// Changes that are stored as they are; both ranks are the full rank.
  public let full: [RefactorResult.Entry]
  /// Weights that are the same in both checkpoints.
  public let equalCount: Int
  /// Weights whose difference is no more than rounding makes.
  public let withinRoundingCount: Int
  /// Changes that the adapter does not hold, each with the reason.
  public let skipped: [String]
  /// Targets whose rank is the most that was allowed though they have more.
  public let cappedCount: Int
  /// The number format of the factors.
  public let dtype: DType

  /// √(Σ‖D − D'‖² ÷ Σ‖D‖²) over all changes that an adapter can hold.
  public var relativeError: Double {
    let all = entries + full
    let norm = all.reduce(0) { $0 + $1.norm * $1.norm }
    return norm > 0 ? (all.reduce(0) { $0 + $1.error * $1.error } / norm).squareRoot() : 0
  }

  /// 1 − relativeError².
  public var energy: Double { max(0, 1 - relativeError * relativeError) }
}
