import Platform

/// From values to places on the page.
struct PlotScale {
  let isLogarithmic: Bool
  /// The range shown; powers of ten where logarithmic.
  private let low: Double, high: Double
  private let from: Double, to: Double

  /// - Parameters:
  ///   - values: what has to fit; those that are not finite, or not positive on a logarithmic scale, do not count.
  ///   - least: the smallest range that is shown.
  init(_ values: [Double], least: ClosedRange<Double>?, isLogarithmic: Bool = false, from: Double, to: Double) {
    (self.isLogarithmic, self.from, self.to) = (isLogarithmic, from, to)
    let fitting = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    if isLogarithmic {
      let ends = fitting + (least.map { [$0.lowerBound, $0.upperBound] } ?? [])
      low = log10(ends.min() ?? 0.1)
      let top = log10(ends.max() ?? 1)
      high = top > low ? top : low + 1
    } else {
      low = min(0, fitting.min() ?? 0, least?.lowerBound ?? 0)
      let top = max(fitting.max() ?? 1, least?.upperBound ?? 0)
      high = top > low ? top : low + 1
    }
  }

  /// Whether the value has a place on the scale.
  func holds(_ value: Double) -> Bool {
    guard value.isFinite, !isLogarithmic || value > 0 else { return false }
    let position = isLogarithmic ? log10(value) : value
    return position >= low - 1e-9 && position <= high + 1e-9
  }

  func place(_ value: Double) -> Double {
    from + ((isLogarithmic ? log10(value) : value) - low) / (high - low) * (to - from)
  }

  /// Round numbers at equal distances, or powers of ten on a logarithmic scale.
  ///
  /// - Parameter most: how many there is room for.
  func ticks(most: Int) -> [Double] {
    let all = ticks
    let kept = (all.count + most - 1) / most
    return all.enumerated().filter { $0.offset.isMultiple(of: max(1, kept)) }.map(\.element)
  }

  /// Four to ten of them where the scale is not logarithmic.
  private var ticks: [Double] {
    if isLogarithmic {
      let first = Int((low - 1e-9).rounded(.up)), last = Int((high + 1e-9).rounded(.down))
      guard first <= last else { return [] }
      return stride(from: first, through: last, by: 1 + (last - first) / 5).map { pow(10, Double($0)) }
    }
    var step = 1.0
    while step * 10 <= high - low { step *= 10 }
    while step > high - low { step /= 10 }
    if (high - low) / step < 2 { step /= 5 } else if (high - low) / step < 5 { step /= 2 }
    let first = Int((low / step).rounded(.up)), last = Int((high / step).rounded(.down))
    return (first...max(first, last)).map { Double($0) * step }
  }
}
