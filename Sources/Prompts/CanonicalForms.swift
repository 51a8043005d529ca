/// How scalars come apart and join in Unicode's canonical forms, in the version that the reference tokenizer has: 9.
///
/// Scalars that came later neither move nor join.
struct CanonicalForms: Sendable {
  static let standard = CanonicalForms()

  private var parts: [Unicode.Scalar: [Unicode.Scalar]] = [:]
  /// By the two scalars, the first one in the upper half.
  private var joined: [UInt64: Unicode.Scalar] = [:]

  private init() {
    for entry in decompositionTable.description.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
      let scalars = entry.split { $0 == "=" || $0 == ">" || $0 == "+" }.map { Unicode.Scalar(UInt32($0, radix: 16)!)! }
      parts[scalars[0]] = Array(scalars[1...])
      if entry.contains("=") { joined[Self.key(scalars[1], scalars[2])] = scalars[0] }
    }
  }

  /// The scalars composed (NFC, Unicode Standard Annex 15).
  func composed(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    // Where the last scalar is that others can join, and the class of what was kept after it.
    var base: Int?
    var classBefore: UInt8 = 0
    for scalar in ordered(text) {
      let itsClass = Self.combiningClass(scalar)
      if let base, base + 1 == result.count || classBefore < itsClass,
        let composition = composition(result[base], scalar)
      {
        result[base] = composition
        continue
      }
      if itsClass == 0 { base = result.count }
      classBefore = itsClass
      result.append(scalar)
    }
    return result
  }

  /// The scalars taken apart, every run of marks sorted by class; marks of one class stay in their order.
  private func ordered(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    for scalar in text { takeApart(scalar, into: &result) }
    var start = 0
    while start < result.count {
      let end = result[start...].firstIndex { Self.combiningClass($0) == 0 } ?? result.count
      // This sort keeps the order of equals.
      if end - start > 1 { result[start..<end].sort { Self.combiningClass($0) < Self.combiningClass($1) } }
      start = end + 1
    }
    return result
  }

  private func takeApart(_ scalar: Unicode.Scalar, into result: inout [Unicode.Scalar]) {
    guard let parts = parts[scalar] else { return result.append(scalar) }
    for part in parts { takeApart(part, into: &result) }
  }

  /// What two scalars become when they join.
  private func composition(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    switch (first.value, second.value) {
    // Letters of Hangul to a syllable, and a syllable with its last letter. Syllables were not taken apart before, which
    // makes no difference: only their ends join anything.
    case (0x1100...0x1112, 0x1161...0x1175):
      Unicode.Scalar(0xAC00 + ((first.value - 0x1100) * 21 + second.value - 0x1161) * 28)
    case (0xAC00...0xD7A3, 0x11A8...0x11C2):
      (first.value - 0xAC00) % 28 == 0 ? Unicode.Scalar(first.value + second.value - 0x11A7) : nil
    default: joined[Self.key(first, second)]
    }
  }

  private static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
    guard scalar.value >= 0x300, let age = scalar.properties.age, age.major <= 9 else { return 0 }
    return scalar.properties.canonicalCombiningClass.rawValue
  }

  private static func key(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> UInt64 {
    UInt64(first.value) << 32 | UInt64(second.value)
  }
}

/// A text as the tokenizer wants it: composed, then in lower case scalar by scalar, so that neither a language nor the end
/// of a word matters.
func normalized(_ text: Substring) -> [Unicode.Scalar] {
  if text.utf8.allSatisfy({ $0 < 128 }) {
    return text.utf8.map { Unicode.Scalar((65...90).contains($0) ? $0 + 32 : $0) }
  }
  return CanonicalForms.standard.composed(text.unicodeScalars).flatMap { $0.properties.lowercaseMapping.unicodeScalars }
}
