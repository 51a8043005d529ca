import CArithmetic

/// The codes of a format in the order of what they stand for: places from the lowest number to the highest.
///
/// Two codes of one number (−0 and +0) have places of their own, so that a place tells the code.
public struct CodeOrder: Sendable {
  let table: lathe_code_order
  /// The place of each code, and the code of each place.
  let places: [UInt8], codes: [UInt8]
  /// How many codes stand for numbers.
  public var count: Int { Int(table.finite) }

  /// What the codes of places stand for before their step.
  var values: [Float] {
    withUnsafeBytes(of: table.values) { Array($0.bindMemory(to: Float.self)) }
  }

  /// - Parameters:
  ///   - values: what codes stand for before their step, by code; at most 256. Those that are not finite are stored only.
  ///   - unused: codes that the format's own encoder never writes: the lowest or the highest ones. They are read as well,
  ///     and never chosen.
  init(_ values: [Float], unused: Set<UInt8> = []) {
    precondition((2...256).contains(values.count), "\(values.count) codes")
    func isBefore(_ a: Int, _ b: Int) -> Bool {
      let (x, y) = (values[a], values[b])
      if x.isFinite != y.isFinite { return x.isFinite }
      guard x.isFinite, x == y else { return x.isFinite ? x < y : a < b }
      return x.sign != y.sign ? x.sign == .minus : a < b
    }
    let order = values.indices.sorted(by: isBefore), finite = order.count { values[$0].isFinite }
    precondition(finite > 0, "a format without numbers")
    var codes = [UInt8](repeating: 0, count: 256), places = codes
    for (place, code) in order.enumerated() { (codes[place], places[code]) = (UInt8(code), UInt8(place)) }
    let usable = (0..<finite).filter { !unused.contains(codes[$0]) }
    precondition(usable.count == usable.last! - usable.first! + 1, "codes are unused in the middle")
    var table = lathe_code_order()
    table.first = UInt32(usable.first!)
    table.last = UInt32(usable.last!)
    table.finite = UInt32(finite)
    withUnsafeMutableBytes(of: &table.values) { bytes in
      let sorted = bytes.bindMemory(to: Float.self)
      for (place, code) in order.enumerated() { sorted[place] = values[code] }
      let isInteger = (1..<finite).allSatisfy { sorted[$0] == sorted[$0 - 1] + 1 }
      table.is_integers = finite == values.count && isInteger && sorted[0] == sorted[0].rounded() ? 1 : 0
    }
    (self.table, self.codes, self.places) = (table, codes, places)
  }

  /// Eight bits in two's complement. Encoders leave −128 out, so that both signs reach as far.
  static let signedBytes = CodeOrder((0..<256).map { Float(Int8(truncatingIfNeeded: $0)) }, unused: [0x80])

  /// Turns codes into places, in place.
  func places(of codes: UnsafeMutablePointer<UInt8>, count: Int) { lathe_map_codes(codes, places, codes, count) }

  /// Turns places into codes.
  func codes(of places: UnsafePointer<UInt8>, into target: UnsafeMutablePointer<UInt8>, count: Int) {
    lathe_map_codes(places, codes, target, count)
  }
}
