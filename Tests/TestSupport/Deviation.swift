/// The largest difference of two lists of numbers; infinite when one is NaN or they differ in length.
public func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).reduce(0) { worst, pair in
    let difference = abs(pair.0 - pair.1)
    return difference <= worst ? worst : difference.isNaN ? .infinity : difference
  }
}

/// The root of the mean of the squares.
public func rootMeanSquare(_ values: [Float]) -> Float {
  Float((values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(values.count, 1))).squareRoot())
}

/// The root of the mean of the squared differences; NaN when one of the numbers is.
public func typicalDifference(_ a: [Float], _ b: [Float]) -> Float {
  a.count == b.count ? rootMeanSquare(zip(a, b).map { $0 - $1 }) : .nan
}
