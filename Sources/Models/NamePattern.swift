/// One side of a naming rule: literal text with places for numbers and for the rest of a name.
///
/// `*` stands for a number, `$` for the last number of a row of blocks, and `**` at the end for any rest.
package struct NamePattern: Hashable, Sendable {
  enum Part: Hashable, Sendable {
    case text([UInt8])
    case number
    case last
    case rest
  }

  /// What the places of a pattern stood for in a name, in order.
  typealias Values = [ArraySlice<UInt8>]

  let parts: [Part]

  init(_ text: some StringProtocol) {
    var parts: [Part] = [], literal: [UInt8] = []
    func close() {
      if !literal.isEmpty { parts.append(.text(literal)) }
      literal = []
    }
    let bytes = Array(text.utf8)
    var place = 0
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "*") where place + 1 < bytes.count && bytes[place + 1] == UInt8(ascii: "*"):
        close()
        parts.append(.rest)
        place += 1
      case UInt8(ascii: "*"):
        close()
        parts.append(.number)
      case UInt8(ascii: "$"):
        close()
        parts.append(.last)
      default: literal.append(bytes[place])
      }
      place += 1
    }
    close()
    self.parts = parts
  }

  private init(parts: [Part]) { self.parts = parts }

  /// As maps have it.
  var text: String {
    parts.map { part in
      switch part {
      case .text(let text): String(decoding: text, as: UTF8.self)
      case .number: "*"
      case .last: "$"
      case .rest: "**"
      }
    }.joined()
  }

  /// The text before the first place.
  var beginning: [UInt8] { if case .text(let text)? = parts.first { text } else { [] } }

  /// Whether it has no places: one name.
  var isText: Bool { if case .text? = parts.first { parts.count == 1 } else { false } }
  var hasRest: Bool { parts.last == .rest }
  var hasLast: Bool { parts.contains(.last) }

  /// The pattern for a model whose last block of the row has this number.
  func binding(last: Int) -> NamePattern {
    NamePattern(parts: parts.map { $0 == .last ? .text(Array(String(last).utf8)) : $0 })
  }

  /// The pattern for names in which underscores stand for dots.
  var flattened: NamePattern {
    NamePattern(
      parts: parts.map { part in
        guard case .text(let text) = part else { return part }
        return .text(text.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 })
      })
  }

  /// The pattern without an ending of its literal text, where it has that.
  func dropping(suffix: String) -> NamePattern {
    let suffix = Array(suffix.utf8)
    guard case .text(let text)? = parts.last, text.count > suffix.count, text.suffix(suffix.count) == suffix[...] else {
      return self
    }
    return NamePattern(parts: parts.dropLast() + [.text(text.dropLast(suffix.count))])
  }

  /// The pattern with any number where it has that of the last block.
  var forAnyBlock: NamePattern { NamePattern(parts: parts.map { $0 == .last ? .number : $0 }) }

  /// What the places stand for, or `nil` when `name` is not of this pattern.
  func match(_ name: ArraySlice<UInt8>) -> Values? {
    var values: Values = [], place = name.startIndex
    for part in parts {
      switch part {
      case .text(let text):
        guard name[place...].starts(with: text) else { return nil }
        place += text.count
      case .number:
        var end = place
        while end < name.endIndex, name[end] >= UInt8(ascii: "0"), name[end] <= UInt8(ascii: "9") { end += 1 }
        guard end > place else { return nil }
        values.append(name[place..<end])
        place = end
      case .last: return nil
      case .rest:
        guard place < name.endIndex else { return nil }
        values.append(name[place...])
        place = name.endIndex
      }
    }
    return place == name.endIndex ? values : nil
  }

  /// The name in which the places stand for `values`.
  func name(_ values: Values) -> String {
    var text: [UInt8] = [], values = values[...]
    for part in parts {
      switch part {
      case .text(let literal): text += literal
      case .number, .rest: text += values.popFirst()!
      case .last: preconditionFailure("a rule about the last block must be bound to a model first")
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
