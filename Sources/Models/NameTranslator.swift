/// A name map made ready for one model: rules about its last block know which that is.
package struct NameTranslator {
  package enum Side { case left, right }

  package struct Match {
    package let rule: NameMap.Rule
    /// Which of the rule's right-hand names was matched; 0 for the left.
    package let part: Int
    let values: NamePattern.Values
    /// What stands behind the module's name: `.weight`.
    package let suffix: ArraySlice<UInt8>

    package var leftName: String { rule.left.name(values) + String(decoding: suffix, as: UTF8.self) }
    package var rightNames: [String] { rule.rights.map { $0.name(values) + String(decoding: suffix, as: UTF8.self) } }
  }

  private let side: Side
  /// Rules by the first word of the pattern on our side.
  private var rules: [[UInt8]: [(pattern: NamePattern, rule: NameMap.Rule, part: Int)]] = [:]

  /// - Parameter names: all tensor names of the model, in the dialect of `side`.
  package init(_ map: NameMap, from side: Side, names: some Collection<String>) {
    self.side = side
    for rule in map.rules {
      var rule = rule
      if rule.left.hasLast {
        let beginning = (side == .left ? rule.left : rule.rights[0]).beginning
        guard let last = Self.largestNumber(behind: beginning, in: names) else { continue }
        rule.left = rule.left.binding(last: last)
        rule.rights = rule.rights.map { $0.binding(last: last) }
      }
      for (part, pattern) in (side == .left ? [rule.left] : rule.rights).enumerated() {
        rules[Self.firstWord(pattern.beginning[...]), default: []].append((pattern, rule, part))
      }
    }
  }

  /// All rules that the tensor's name fits, in the map's order.
  package func matches(_ name: String) -> [Match] {
    let bytes = Array(name.utf8)
    let end = bytes.lastIndex(of: UInt8(ascii: ".")) ?? bytes.endIndex
    return (rules[Self.firstWord(bytes[...])] ?? []).compactMap { pattern, rule, part in
      let own = rule.isTensor ? bytes[...] : bytes[..<end]
      return pattern.match(own).map {
        Match(rule: rule, part: part, values: $0, suffix: rule.isTensor ? [] : bytes[end...])
      }
    }
  }

  private static func firstWord(_ name: ArraySlice<UInt8>) -> [UInt8] {
    Array(name.prefix { $0 != UInt8(ascii: ".") })
  }

  private static func largestNumber(behind beginning: [UInt8], in names: some Collection<String>) -> Int? {
    names.compactMap { name -> Int? in
      let bytes = Array(name.utf8)
      guard bytes.starts(with: beginning) else { return nil }
      let digits = bytes[beginning.count...].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
      return Int(String(decoding: digits, as: UTF8.self))
    }.max()
  }
}
