/// The parts of A1111's prompt language that make a prompt change from step to step: `[a:b:0.5]`, `[a|b]` and `AND`.
enum A1111Schedule {
  /// A bracket that is open.
  private struct Group {
    let isSquare: Bool
    let start: Int
    /// Where its own colons and bars are, not those of brackets inside it.
    var colons: [Int] = []
    var hasBar = false
  }

  /// The first construct that A1111 would not take for text, or brackets too deep in each other to look for it; nil when the prompt is the same at every step.
  static func firstConstruct(in prompt: String) -> PromptError.Kind? {
    let scalars = Array(prompt.unicodeScalars)
    var found: [(construct: PromptError.Construct, place: Range<Int>)] = scalars.places(ofWord: "AND")
      .prefix(1).map { (.composition, $0) }
    var groups: [Group] = []
    var index = 0
    while index < scalars.count {
      switch scalars[index] {
      case "\\": index += 1
      case "(", "[":
        groups.append(Group(isSquare: scalars[index] == "[", start: index))
        guard groups.count <= PromptStyle.deepest else { return .tooDeep(limit: PromptStyle.deepest) }
      case ":" where !groups.isEmpty: groups[groups.count - 1].colons.append(index)
      case "|" where !groups.isEmpty: groups[groups.count - 1].hasBar = true
      case ")", "]":
        let isSquare = scalars[index] == "]"
        // Brackets that cross are text, up to the one that is closed here.
        guard let open = groups.lastIndex(where: { $0.isSquare == isSquare }) else { break }
        let isWhole = open == groups.count - 1
        let group = groups[open]
        groups.removeSubrange(open...)
        guard isSquare, isWhole, let construct = construct(of: group, closedAt: index, in: scalars) else { break }
        found.append((construct, group.start..<index + 1))
      default: break
      }
      index += 1
    }
    guard let first = found.min(by: { $0.place.lowerBound < $1.place.lowerBound }) else { return nil }
    let position = String(scalars[..<first.place.lowerBound]).count + 1
    return .construct(first.construct, text: String(scalars[first.place]), position: position)
  }

  private static func construct(
    of group: Group, closedAt end: Int, in scalars: [Unicode.Scalar]
  ) -> PromptError.Construct? {
    if group.hasBar { return .alternation }
    guard (1...2).contains(group.colons.count), let last = group.colons.last else { return nil }
    return decimalNumber(String(scalars[(last + 1)..<end])) == nil ? nil : .editing
  }
}
