package import Tensors

/// Divides a factor between the two sides of a product so that as few bits as possible are lost.
///
/// A power of two changes only exponents, so it is exact wherever both sides have room; what is left of the factor, from
/// 1 to 2, is multiplied into one side, where it costs a rounding unless the numbers have bits to spare.
package struct ScaleFold {
  package let up: Double
  package let down: Double

  package static let none = ScaleFold(up: 1, down: 1)

  private init(up: Double, down: Double) { (self.up, self.down) = (up, down) }

  /// - Parameters:
  ///   - factor: what the product is to be multiplied by.
  ///   - keepsDown: whether only the up factor may change, because others share the down factor.
  package init(
    _ factor: Double, up: [Double], as upDType: DType, down: [Double], as downDType: DType, keepsDown: Bool = false
  ) {
    guard factor != 0 else {
      self.init(up: 0, down: 1)
      return
    }
    precondition(factor.isFinite, "a factor is a number")
    guard !keepsDown else {
      self.init(up: factor, down: 1)
      return
    }
    let mantissa = factor.sign == .minus ? -factor.significand : factor.significand, power = Int(factor.exponent)
    // Room for one more doubling where the mantissa may carry.
    let spare = mantissa.magnitude == 1 ? 0 : 1
    let ups = FactorRange(up, upDType, spare: spare), downs = FactorRange(down, downDType, spare: spare)
    let place =
      Self.place(power, ups, downs)
      ?? Self.leastLoss(power, RoundingModel(up, upDType), ups, RoundingModel(down, downDType), downs)
    func scaled(_ mantissa: Double, _ power: Int) -> Double { mantissa * .power2(power) }
    let onUp = ScaleFold(up: scaled(mantissa, place), down: scaled(1, power - place))
    guard mantissa.magnitude != 1 else {
      self = onUp
      return
    }
    let onDown = ScaleFold(up: scaled(1, place), down: scaled(mantissa, power - place))
    let upLoss = upDType.loss(up, times: onUp.up)
    self = upLoss == 0 || upLoss <= downDType.loss(down, times: onDown.down) ? onUp : onDown
  }

  /// The power of two for the up side: all of it, unless that leaves the range in which its numbers are exact.
  ///
  /// - Returns: `nil` where no division keeps both sides within the normal numbers.
  private static func place(_ power: Int, _ up: FactorRange, _ down: FactorRange) -> Int? {
    for (ups, downs) in [(up.exact, down.exact), (up.normal, down.normal)] {
      let low = max(ups.low, power - downs.high), high = min(ups.high, power - downs.low)
      if low <= high { return min(max(power, low), high) }
    }
    return nil
  }

  /// The power of two for the up side that makes the error of both sides together smallest, while neither overflows.
  private static func leastLoss(
    _ power: Int, _ up: RoundingModel, _ ups: FactorRange, _ down: RoundingModel, _ downs: FactorRange
  ) -> Int {
    let low = power - downs.normal.high, high = ups.normal.high
    guard low < high else { return min(power, high) }
    func loss(_ place: Int) -> Double { up.loss(shifted: place) + down.loss(shifted: power - place) }
    return (low...high).min { (loss($0), abs(power - $0)) < (loss($1), abs(power - $1)) }!
  }
}

/// What rounding a factor to a number format would lose, were it multiplied by a power of two: worked out from how many of its
/// numbers have which exponent, so that many powers can be tried.
private struct RoundingModel {
  private struct Numbers {
    var count = 0.0, energy = 0.0, lowestBit = Int.max
  }

  private var numbers: [Int: Numbers] = [:]
  private let energy: Double
  private let limits: (highest: Int, lowest: Int, lowestBit: Int)

  init(_ values: [Double], _ dtype: DType) {
    for value in values where value != 0 {
      let exponent = Int(value.exponent)
      numbers[exponent, default: Numbers()].count += 1
      numbers[exponent]!.energy += value * value
      numbers[exponent]!.lowestBit = min(numbers[exponent]!.lowestBit, exponent - value.significandWidth)
    }
    energy = numbers.values.reduce(0) { $0 + $1.energy }
    limits = dtype.exponents
  }

  /// The share of the energy that is lost: a unit in the last place has a twelfth of its square as mean squared error.
  func loss(shifted power: Int) -> Double {
    guard energy > 0 else { return 0 }
    let lost = numbers.reduce(0) { sum, entry in
      let unit = max(entry.key + power, limits.lowest) - (limits.lowest - limits.lowestBit)
      guard entry.value.lowestBit + power < unit else { return sum }
      return sum + min(entry.value.energy, entry.value.count * .power2(2 * (unit - power)) / 12)
    }
    return lost / energy
  }
}

/// The powers of two by which a factor's numbers can be multiplied in a number format.
private struct FactorRange {
  /// Without losing a bit; empty where the format is too narrow.
  let exact: (low: Int, high: Int)
  /// Without leaving the normal numbers.
  let normal: (low: Int, high: Int)

  init(_ values: [Double], _ dtype: DType, spare: Int) {
    let limits = dtype.exponents
    var highest = Int.min, lowest = Int.max, lowestBit = Int.max
    for value in values where value != 0 {
      let exponent = Int(value.exponent)
      highest = max(highest, exponent)
      lowest = min(lowest, exponent)
      lowestBit = min(lowestBit, exponent - value.significandWidth)
    }
    guard highest > Int.min else {
      (exact, normal) = ((-2000, 2000), (-2000, 2000))
      return
    }
    let top = limits.highest - highest - spare
    exact = (limits.lowestBit - lowestBit, top)
    normal = (limits.lowest - lowest, top)
  }
}

extension DType {
  /// Binary exponents of the largest and the smallest normal number, and of the last bit of subnormal ones.
  fileprivate var exponents: (highest: Int, lowest: Int, lowestBit: Int) {
    switch self {
    case .f16: (15, -14, -24)
    case .bf16: (127, -126, -133)
    case .f8e4m3: (7, -6, -9)
    case .f8e5m2: (15, -14, -16)
    case .f64: (1023, -1022, -1074)
    default: (127, -126, -149)
    }
  }

  /// The relative error of storing `values` times `factor`; 0 when it is exact.
  package func loss(_ values: [Double], times factor: Double) -> Double {
    guard !values.isEmpty else { return 0 }
    var lost = 0.0, whole = 0.0
    let exact = values.map { $0 * factor }
    for (value, stored) in zip(exact, rounded(exact)) {
      lost += (value - stored) * (value - stored)
      whole += value * value
    }
    return whole > 0 ? (lost / whole).squareRoot() : 0
  }

  /// The values as they come back from this format.
  private func rounded(_ values: [Double]) -> [Double] {
    let tensor = Tensor(values, shape: Shape([values.count]), dtype: self)
    return tensor.doubles()
  }
}
