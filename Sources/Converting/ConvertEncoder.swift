import Adapters
import Factoring
import Spectra
import Tensors

/// Makes the bytes of one converted target, and measures what was written of it.
struct ConvertEncoder {
  let normalises: Bool
  /// Whether the user asked for a number format.
  let changesDType: Bool
  let path: String

  /// What both factors of a group were multiplied by.
  typealias Fold = (up: Double, down: Double)

  /// What a target was stored as.
  struct Stored: Sendable {
    /// By tensor name.
    let tensors: [(name: String, tensor: Tensor)]
    /// What each group's factors were multiplied by.
    let folds: [Fold]
  }

  /// - Throws: `FactoringError`: `overflow` for a value that does not fit, `notFinite` for a factor with NaN.
  func stored(_ target: ConvertTarget, _ workspace: FactorWorkspace) throws -> Stored {
    var factors = try ConvertFactors(target, workspace, path: path)
    var alpha = target.alpha
    var folds = factors.groups.map { group -> Fold in
      let factor = Self.factor(group.scale, over: target.scale)
      guard factor != 1 || changesDType else { return (1, 1) }
      let values = factors.values(of: group)
      let fold = ScaleFold(
        factor, up: values.up, as: target.upDType, down: values.down, as: target.downDType,
        keepsDown: target.sharesDown)
      return (fold.up, fold.down)
    }
    if changesDType, !normalises, target.upDType.bits == 8, case .tensor = target.scaling {
      let gauge = Self.gauge(factors, folds)
      folds = folds.map { ($0.up * gauge.up, $0.down * gauge.down) }
      alpha = SharedAlpha.storable(alpha / (gauge.up * gauge.down))
    }
    factors.multiply(by: folds)
    var tensors = [
      (target.names.up, try tensor(factors.up, target.upShape, target.upDType, target)),
      (target.names.down, try tensor(factors.down, target.downShape, target.downDType, target)),
    ]
    if let name = target.names.mid, let mid = target.mid {
      tensors.append(
        (name, target.midDType == mid.dtype ? mid : try tensor(mid.doubles(), mid.shape, target.midDType!, target)))
    }
    if let name = target.names.alpha { tensors.append((name, Tensor([alpha], shape: [], dtype: .f32))) }
    return Stored(tensors: tensors, folds: folds)
  }

  /// ‖Δ − Δ'‖ ÷ ‖Δ‖ of a target that was read again; 0 when no bit of the delta has changed.
  func relativeError(
    _ target: ConvertTarget, written: Target, folds: [Fold], _ workspace: FactorWorkspace
  ) throws -> Double {
    var factors = try ConvertFactors(target, workspace, path: path)
    factors.multiply(
      by: zip(factors.groups, folds).map { group, fold in
        // Whatever the up side was multiplied by when it was stored, this is what makes the product the delta.
        (Self.factor(group.scale, over: written.scale) / (fold.down == 0 ? 1 : fold.down), fold.down)
      })
    let cores = target.mid.flatMap { own in written.mid.map { (own: own, written: $0) } }
    return factors.relativeError(up: written.up.doubles(), down: written.down.doubles(), cores: cores)
  }

  /// ‖Δ‖² of a target, with what rounding took of it.
  func loss(_ target: ConvertTarget, relativeError: Double, _ workspace: FactorWorkspace) throws -> RoundingLoss {
    var factors = try ConvertFactors(target, workspace, path: path)
    factors.multiply(by: factors.groups.map { ($0.scale, 1) })
    let kept = factors.squaredNorm
    return RoundingLoss(
      target: target.name, dtype: target.upDType.bits < target.downDType.bits ? target.upDType : target.downDType,
      kept: kept, lost: kept * relativeError * relativeError)
  }

  /// What factors are multiplied by when their scale becomes another. Without effect they stay as they are.
  private static func factor(_ own: Double, over new: Double) -> Double { own == new ? 1 : own / new }

  private func tensor(_ values: [Double], _ shape: Shape, _ dtype: DType, _ target: ConvertTarget) throws -> Tensor {
    let tensor = Tensor(values, shape: shape, dtype: dtype)
    guard tensor.doubles().allSatisfy(\.isFinite) else {
      throw FactoringError(.overflow(target: target.name, dtype: dtype), path: path)
    }
    return tensor
  }

  /// Powers of two that bring the largest entry of each side of an eight-bit target just below 240.
  private static func gauge(
    _ factors: ConvertFactors, _ folds: [Fold]
  ) -> (up: Double, down: Double) {
    func power(_ largest: Double) -> Double {
      largest > 0 ? .power2((240 / largest).boundedExponent) : 1
    }
    var up = 0.0, down = 0.0
    for (group, fold) in zip(factors.groups, folds) {
      let values = factors.values(of: group)
      up = values.up.reduce(up) { max($0, ($1 * fold.up).magnitude) }
      down = values.down.reduce(down) { max($0, ($1 * fold.down).magnitude) }
    }
    return (power(up), power(down))
  }
}
