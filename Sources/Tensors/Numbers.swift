import Platform

/// How numbers are written for people.
package enum Numbers {
  /// Up to four significant digits, scientific when very small or large: `0.03142`, `1.5e-08`.
  package static func short(_ value: Double) -> String { formatted("%.4g", value) }

  /// A fixed number of decimals.
  package static func fixed(_ value: Double, _ decimals: Int32) -> String {
    withVaList([decimals, value]) { formatted("%.*f", $0) }
  }

  /// A share as per cent, with enough digits to tell it from 0 and from 100: `12.3 %`, `99.97 %`.
  package static func percent(_ share: Double) -> String {
    let distance = min(share.magnitude, (1 - share).magnitude)
    if distance > 0, distance < 5e-7 { return share < 0.5 ? "≈0 %" : "≈100 %" }
    let decimals: Int32 = distance == 0 ? 0 : distance < 0.0001 ? 4 : distance < 0.001 ? 3 : distance < 0.01 ? 2 : 1
    return fixed(100 * share, decimals) + " %"
  }

  /// With narrow gaps between groups of three digits: `3 226 184`.
  package static func grouped(_ value: Int) -> String {
    var groups: [Substring] = [], digits = Substring(String(value.magnitude))
    while digits.count > 3 {
      groups.append(digits.suffix(3))
      digits = digits.dropLast(3)
    }
    groups.append(digits)
    return (value < 0 ? "-" : "") + groups.reversed().joined(separator: " ")
  }

  private static func formatted(_ format: String, _ value: Double) -> String {
    withVaList([value]) { formatted(format, $0) }
  }

  private static func formatted(_ format: String, _ arguments: CVaListPointer) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
      vsnprintf(buffer.baseAddress!, buffer.count, format, arguments)
      return String(cString: buffer.baseAddress!)
    }
  }
}
