import JSON

/// Values for modules by patterns of their names, as PEFT's `rank_pattern` and `alpha_pattern` have them.
///
/// A key is a regular expression that must match the end of the name, from the beginning or behind a dot. The first
/// matching key of the file counts.
struct ModulePatterns {
  /// Keys without any special sign but the dot, which stands for itself in every module's name.
  private var literals: [String: (place: Int, value: Double)] = [:]
  private static let mostExpressions = 256
  private var expressions: [(place: Int, expression: ModuleExpression, value: Double)] = []

  /// - Parameters:
  ///   - patterns: the field's value.
  ///   - field: its name, and `text` the file it was read from: parsed objects have lost the order of their keys.
  /// - Throws: what is wrong with the field.
  init(_ patterns: JSONValue?, field: String, in text: String) throws(ConfigurationFault) {
    if let patterns, patterns != .null, patterns.object == nil {
      throw ConfigurationFault(field, "expected an object", patterns)
    }
    let start = text.offset(of: "\(field)\"", after: 0)
    let entries = (patterns?.object ?? [:]).map { entry in
      (
        key: entry.key, value: entry.value,
        offset: text.offset(of: JSONValue.string(entry.key).compactText, after: start)
      )
    }
    for (place, entry) in entries.sorted(by: { ($0.offset, $0.key) < ($1.offset, $1.key) }).enumerated() {
      guard let value = entry.value.double else { continue }
      let name = entry.key.includes("\\.") ? entry.key.replacing("\\.", with: ".") : entry.key
      if name.utf8.allSatisfy(Self.isPlain) {
        literals[name] = (place, value)
      } else {
        guard let expression = ModuleExpression(entry.key), expressions.count < Self.mostExpressions else {
          throw ConfigurationFault(field, "expected a few regular expressions without references", .string(entry.key))
        }
        expressions.append((place, expression, value))
      }
    }
  }

  func value(for module: String) -> Double? {
    guard !literals.isEmpty || !expressions.isEmpty else { return nil }
    var best: (place: Int, value: Double)?
    var rest = Substring(module)
    while true {
      if let found = literals[String(rest)], found.place < best?.place ?? .max { best = found }
      guard let dot = rest.firstIndex(of: ".") else { break }
      rest = rest[rest.index(after: dot)...]
    }
    for (place, expression, value) in expressions where place < best?.place ?? .max {
      if expression.matchesEnd(of: module) { best = (place, value) }
    }
    return best?.value
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"): true
    default: false
    }
  }
}
