/// A number of bytes, written for people and read from the command line.
public struct ByteCount: Hashable, Comparable, Sendable {
  /// At least 1 where it was read from text.
  public let bytes: Int
  /// Any number of bytes.
  public init(_ bytes: Int) { self.bytes = bytes }

  /// By the number, whatever unit it is shown in.
  public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }

  /// Reads `20MB` (10⁶), `20MiB` (2²⁰), `1.5GB`, `700kB` or plain bytes; `nil` for anything else or less than one byte.
  public init?(_ text: String) {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text.dropFirst(digits.count).trimmingSpaces().lowercased()
    guard let number = Double(digits), let factor = Self.factors[unit] else { return nil }
    let bytes = (number * factor).rounded(.down)
    guard bytes >= 1, bytes < 0x1p62 else { return nil }
    self.init(Int(bytes))
  }

  private static let factors: [String: Double] = [
    "": 1, "b": 1,
    "k": 1e3, "kb": 1e3, "kib": 0x1p10,
    "m": 1e6, "mb": 1e6, "mib": 0x1p20,
    "g": 1e9, "gb": 1e9, "gib": 0x1p30,
  ]
}

extension ByteCount: CustomStringConvertible {
  /// Decimal units with three significant digits, such as `21.3 MB`.
  public var description: String {
    guard bytes >= 1000 else { return "\(bytes) B" }
    var value = Double(bytes), unit = ""
    for next in ["kB", "MB", "GB", "TB"] where value >= 999.5 || unit.isEmpty { (value, unit) = (value / 1000, next) }
    let decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0
    let units = Int((value * [1.0, 10, 100][decimals]).rounded())
    guard decimals > 0 else { return "\(units) \(unit)" }
    let digits = String(units)
    return "\(digits.dropLast(decimals)).\(digits.suffix(decimals)) \(unit)"
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring { drop { $0 == " " } }
}
