/// A regular expression for modules' names, as PEFT's patterns have them, matched in a time that grows only with the
/// product of its length and the name's.
///
/// It comes from a stranger's file, and engines that go back and try again can be kept busy for years by a few
/// characters. So all ways to match are followed at once (Thompson, "Regular expression search algorithm", 1968). What
/// that cannot do, references and looking around, is refused. Syntax: Python's `re`, which PEFT uses.
struct ModuleExpression {
  private enum Step {
    /// One character of these, or of all others.
    case one(of: [ClosedRange<UInt32>], isOthers: Bool)
    case either(Int, Int)
    case start
    case end
  }

  private let steps: [Step]

  private static let mostSteps = 1024
  private static let deepestGroup = 32

  /// `nil` for what is no expression, or one that cannot be matched in this way.
  init?(_ text: String) {
    var parser = Parser(text)
    guard let node = parser.alternatives(depth: 0), parser.isAtEnd, let steps = Self.steps(of: node) else { return nil }
    self.steps = steps
  }

  /// Whether the expression matches the end of the name: all of it, or what stands behind a dot.
  func matchesEnd(of name: String) -> Bool {
    let scalars = Array(name.unicodeScalars)
    var current = States(count: steps.count + 1), next = current
    for (place, scalar) in scalars.enumerated() {
      if place == 0 || scalars[place - 1] == "." { add(0, to: &current, at: place, of: scalars.count) }
      for state in current.list where state < steps.count {
        guard case .one(let ranges, let isOthers) = steps[state] else { continue }
        let isInside = ranges.contains { $0.contains(scalar.value) }
        if isInside != isOthers { add(state + 1, to: &next, at: place + 1, of: scalars.count) }
      }
      swap(&current, &next)
      next.clear()
    }
    if scalars.last.map({ $0 == "." }) ?? true { add(0, to: &current, at: scalars.count, of: scalars.count) }
    return current.has(steps.count)
  }

  /// Takes note of a state and of those that it leads to without a character.
  private func add(_ state: Int, to states: inout States, at place: Int, of count: Int) {
    var open = [state]
    while let state = open.popLast() {
      guard states.insert(state), state < steps.count else { continue }
      switch steps[state] {
      case .one: break
      case .either(let a, let b): open += [b, a]
      case .start: if place == 0 { open.append(state + 1) }
      case .end: if place == count { open.append(state + 1) }
      }
    }
  }

  /// A set of states that is emptied quickly.
  private struct States {
    private(set) var list: [Int] = []
    private var isIn: [Bool]

    init(count: Int) { isIn = Array(repeating: false, count: count) }

    func has(_ state: Int) -> Bool { isIn[state] }

    mutating func insert(_ state: Int) -> Bool {
      guard !isIn[state] else { return false }
      isIn[state] = true
      list.append(state)
      return true
    }

    mutating func clear() {
      for state in list { isIn[state] = false }
      list.removeAll(keepingCapacity: true)
    }
  }

  // MARK: From the text to steps

  private indirect enum Node {
    case one([ClosedRange<UInt32>], isOthers: Bool)
    case start
    case end
    case row([Node])
    case choice([Node])
    case repeated(Node, least: Int, most: Int?)
  }

  /// Steps that fall through to their end; `nil` when there are too many.
  private static func steps(of node: Node) -> [Step]? {
    var steps: [Step] = []
    return append(node, to: &steps) ? steps : nil
  }

  private static func append(_ node: Node, to steps: inout [Step]) -> Bool {
    guard steps.count < mostSteps else { return false }
    switch node {
    case .one(let ranges, let isOthers): steps.append(.one(of: ranges, isOthers: isOthers))
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .row(let nodes): return nodes.allSatisfy { append($0, to: &steps) }
    case .choice(let nodes):
      // either(1, …) 1 jump(end) either(2, …) 2 jump(end) … n
      var jumps: [Int] = []
      for node in nodes.dropLast() {
        let fork = steps.count
        steps.append(.start)
        guard append(node, to: &steps) else { return false }
        jumps.append(steps.count)
        steps.append(.start)
        steps[fork] = .either(fork + 1, steps.count)
      }
      guard append(nodes.last!, to: &steps) else { return false }
      for jump in jumps { steps[jump] = .either(steps.count, steps.count) }
    case .repeated(let node, let least, let most):
      guard least <= mostSteps, most ?? 0 <= mostSteps else { return false }
      for _ in 0..<least {
        let start = steps.count
        guard append(node, to: &steps) else { return false }
        // Nothing, as often as you like.
        if steps.count == start { break }
      }
      if let most {
        for _ in least..<max(least, most) {
          guard appendOptional(node, to: &steps, isLoop: false) else { return false }
        }
      } else {
        return appendOptional(node, to: &steps, isLoop: true)
      }
    }
    return steps.count <= mostSteps
  }

  private static func appendOptional(_ node: Node, to steps: inout [Step], isLoop: Bool) -> Bool {
    let fork = steps.count
    steps.append(.start)
    guard append(node, to: &steps) else { return false }
    if isLoop { steps.append(.either(fork, fork)) }
    steps[fork] = .either(fork + 1, steps.count)
    return true
  }

  private struct Parser {
    private let text: [Unicode.Scalar]
    private var place = 0

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    var isAtEnd: Bool { place == text.count }
    private var next: Unicode.Scalar? { isAtEnd ? nil : text[place] }

    private mutating func take(_ token: String) -> Bool {
      let token = Array(token.unicodeScalars)
      guard text[place...].starts(with: token) else { return false }
      place += token.count
      return true
    }

    mutating func alternatives(depth: Int) -> Node? {
      guard depth <= ModuleExpression.deepestGroup else { return nil }
      var choices: [Node] = []
      repeat {
        var row: [Node] = []
        while let scalar = next, scalar != "|", scalar != ")" {
          guard let atom = atom(depth: depth), let item = quantified(atom) else { return nil }
          row.append(item)
        }
        choices.append(.row(row))
      } while take("|")
      return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func atom(depth: Int) -> Node? {
      if take("(") {
        if take("?"), !take(":") { return nil }
        guard let node = alternatives(depth: depth + 1), take(")") else { return nil }
        return node
      }
      if take("[") { return characters() }
      if take(".") { return .one([10...10], isOthers: true) }
      if take("^") || take("\\A") { return .start }
      if take("$") || take("\\Z") { return .end }
      guard let scalar = next, !"*+?".unicodeScalars.contains(scalar) else { return nil }
      place += 1
      if scalar == "\\" { return escaped().map { .one($0.ranges, isOthers: $0.isOthers) } }
      return .one([scalar.value...scalar.value], isOthers: false)
    }

    private mutating func quantified(_ node: Node) -> Node? {
      var least = 0, most: Int?
      let start = place
      if take("*") {
      } else if take("+") {
        least = 1
      } else if take("?") {
        most = 1
      } else if take("{") {
        let low = number()
        let isRange = take(","), high = isRange ? number() : low
        // Python takes braces that count nothing for themselves.
        guard take("}"), low != nil || high != nil else {
          place = start
          return node
        }
        (least, most) = (low ?? 0, high)
        guard least <= most ?? .max else { return nil }
      } else {
        return node
      }
      // Whether few or many are tried first makes no difference to whether there is a match.
      _ = take("?")
      if let scalar = next, "*+?{".unicodeScalars.contains(scalar) { return nil }
      return .repeated(node, least: least, most: most)
    }

    private mutating func number() -> Int? {
      let start = place
      while let scalar = next, ("0"..."9").contains(scalar), place - start < 6 { place += 1 }
      return Int(String(String.UnicodeScalarView(text[start..<place])))
    }

    private typealias Set = (ranges: [ClosedRange<UInt32>], isOthers: Bool)

    private static let digits: [ClosedRange<UInt32>] = [48...57]
    private static let words: [ClosedRange<UInt32>] = [48...57, 65...90, 95...95, 97...122]
    private static let spaces: [ClosedRange<UInt32>] = [9...13, 32...32]

    /// What stands behind a backslash.
    private mutating func escaped() -> Set? {
      guard let scalar = next else { return nil }
      place += 1
      switch scalar {
      case "d": return (Self.digits, false)
      case "D": return (Self.digits, true)
      case "w": return (Self.words, false)
      case "W": return (Self.words, true)
      case "s": return (Self.spaces, false)
      case "S": return (Self.spaces, true)
      case "a"..."z", "A"..."Z", "0"..."9": return nil
      default: return ([scalar.value...scalar.value], false)
      }
    }

    private mutating func characters() -> Node? {
      let isOthers = take("^")
      var ranges: [ClosedRange<UInt32>] = [], isFirst = true
      while let scalar = next, scalar != "]" || isFirst {
        isFirst = false
        guard let low = member() else { return nil }
        // A dash stands for itself at the end.
        guard next == "-", place + 1 < text.count, text[place + 1] != "]" else {
          guard !low.isOthers else { return nil }
          ranges += low.ranges
          continue
        }
        place += 1
        guard let high = member(), let first = low.single, let last = high.single, first <= last else { return nil }
        ranges.append(first...last)
      }
      return take("]") ? .one(ranges, isOthers: isOthers) : nil
    }

    private mutating func member() -> (ranges: [ClosedRange<UInt32>], isOthers: Bool, single: UInt32?)? {
      guard let scalar = next else { return nil }
      place += 1
      guard scalar == "\\" else { return ([scalar.value...scalar.value], false, scalar.value) }
      return escaped().map { set in
        (set.ranges, set.isOthers, set.ranges.count == 1 && set.ranges[0].count == 1 ? set.ranges[0].lowerBound : nil)
      }
    }
  }
}
