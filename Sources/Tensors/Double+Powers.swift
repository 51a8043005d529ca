extension Double {
  /// 2ⁿ, of n beyond what doubles have the nearest that they do.
  public static func power2(_ n: Int) -> Double {
    Double(sign: .plus, exponent: min(max(n, leastExponent), Int(greatestFiniteMagnitude.exponent)), significand: 1)
  }

  /// The binary exponent of a number that may be anything: of zero that of the smallest double, of infinity that of the
  /// largest, so that it can be reckoned with.
  public var boundedExponent: Int {
    self == 0 ? Self.leastExponent : isFinite ? exponent : Int(Self.greatestFiniteMagnitude.exponent)
  }

  private static var leastExponent: Int { leastNonzeroMagnitude.exponent }
}
