/// NumPy's numbers, as pickles hold them: a format's name and its bytes.
enum NumPyScalar {
  /// The number; `nil` for formats that are none, and for a wrong count of bytes.
  static func number(_ bytes: [UInt8], format: String) -> Double? {
    let bits = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    switch (format, bytes.count) {
    case ("f8", 8): return Double(bitPattern: bits)
    case ("f4", 4): return Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
    case ("f2", 2): return Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits)))
    case ("i8", 8): return Double(Int64(bitPattern: bits))
    case ("i4", 4): return Double(Int32(truncatingIfNeeded: bits))
    case ("i2", 2): return Double(Int16(truncatingIfNeeded: bits))
    case ("i1", 1): return Double(Int8(truncatingIfNeeded: bits))
    case ("u8", 8), ("u4", 4), ("u2", 2), ("u1", 1): return Double(bits)
    case ("b1", 1): return bits == 0 ? 0 : 1
    default: return nil
    }
  }
}
