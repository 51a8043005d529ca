/// A module that an adapter changes: its name with underscores for dots, and the size of its weight where that is known.
package struct ChangedModule: Hashable, Sendable {
  package let path: String
  package let inputs: Int?
  package let rows: Int?

  package init(path: String, inputs: Int?, rows: Int?) { (self.path, self.inputs, self.rows) = (path, inputs, rows) }

  /// The row of blocks that the module is in, and the number of its block: `double_blocks`, 7.
  fileprivate var block: (row: Substring, number: Int)? {
    guard let number = blockNumber, let value = Int(path[number]), value < .max else { return nil }
    return (path[..<path.index(before: number.lowerBound)], value)
  }

  /// The module without the number of its block: blocks are alike, so one of a row stands for all.
  fileprivate var kind: ChangedModule {
    guard let number = blockNumber else { return self }
    return ChangedModule(
      path: path[..<number.lowerBound] + "*" + path[number.upperBound...], inputs: inputs, rows: rows)
  }

  /// The first word that is a number and has others around it.
  private var blockNumber: Range<String.Index>? {
    path.split(separator: "_", omittingEmptySubsequences: false).dropFirst().dropLast()
      .first { !$0.isEmpty && $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }
      .map { $0.startIndex..<$0.endIndex }
  }
}

/// The modules that an adapter changes, looked at once for all families.
struct ModuleSurvey {
  let modules: [ChangedModule]
  /// One for all blocks that are alike.
  fileprivate let kinds: [ChangedModule]
  /// What the names are made of, but for numbers: long words first, which say most.
  let words: [String]
  /// How many blocks each row has, by the largest number.
  fileprivate let blocks: [Substring: Int]

  init(_ modules: [ChangedModule]) {
    self.modules = modules
    kinds = Array(Dictionary(modules.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first }).values)
    words = Set(kinds.flatMap { $0.path.split(separator: "_") }.filter { !$0.allSatisfy(\.isNumber) && $0 != "*" })
      .sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }.map(String.init)
    blocks = modules.lazy.compactMap(\.block).reduce(into: [:]) { $0[$1.row] = max($0[$1.row] ?? 0, $1.number + 1) }
  }
}

/// What tells a family's modules from those of other families that have the same names: how wide it is, how many blocks
/// it has, and the shapes of its modules.
///
/// In a map these are lines of their own, whose patterns may be of either side:
///
/// - `width 3072 double_blocks:19 …`: a width that the family has, and how many blocks at that width;
/// - `other 3072 double_blocks:10 …`: a model with the same names that is not of this family, by the last block of each
///   row;
/// - `ends 3072 double_blocks:10 …`: a width whose rows of blocks must end there: for models whose blocks others have too;
/// - `behind`: a model that is too small to be a real one is rather of another family that it fits;
/// - `shape PATTERN 4h h`: inputs and rows of these modules, in numbers or in widths; `-` for any;
/// - `needs PATTERN…`: at least one of these must be there, since the other names say too little;
/// - `beside PATTERN…`: modules of a further network that come along and that the map has no names for.
struct FamilySigns: Sendable {
  fileprivate struct Width {
    let inputs: Int
    let blocks: [(row: String, count: Int)]
  }

  private enum Extent {
    case any
    case fixed(Int)
    case widths(Int, dividedBy: Int)
  }

  private struct ModuleShape {
    let pattern: NamePattern
    let inputs: Extent
    let rows: Extent
  }

  /// How sure a fit is.
  enum Fit: Int, Comparable {
    /// The same as `small`, of a family that comes behind others.
    case smallBehind
    /// The model is too small to be a real one, so that its width says nothing.
    case small
    case whole

    static func < (a: Fit, b: Fit) -> Bool { a.rawValue < b.rawValue }
  }

  private var widths: [Width] = []
  private var others: [Width] = []
  private var ends: [Width] = []
  private var isBehind = false
  private var shapes: [ModuleShape] = []
  private var needs: [NamePattern] = []
  private var besides: [NamePattern] = []

  /// No model that anybody uses is as narrow as that; those of tests are.
  private static let smallestRealWidth = 256

  /// Takes a line of a map, if it is about signs.
  mutating func add(_ words: [String]) -> Bool {
    func patterns(_ words: ArraySlice<String>) -> [NamePattern] {
      words.flatMap { NameMap.alternatives($0) }.map { NamePattern($0).flattened }
    }
    func width() -> Width {
      Width(
        inputs: Int(words[1])!,
        blocks: words.dropFirst(2).map { word in
          let parts = word.split(separator: ":")
          return (String(parts[0]), Int(parts[1])!)
        })
    }
    switch words[0] {
    case "width": widths.append(width())
    case "other": others.append(width())
    case "ends": ends.append(width())
    case "behind": isBehind = true
    case "needs": needs += patterns(words[1...])
    case "beside": besides += patterns(words[1...])
    case "shape":
      shapes += patterns(words[1...1]).map {
        ModuleShape(pattern: $0, inputs: Self.extent(words[2]), rows: Self.extent(words[3]))
      }
    default: return false
    }
    return true
  }

  mutating func add(_ other: FamilySigns) {
    widths += other.widths
    others += other.others
    ends += other.ends
    isBehind = isBehind || other.isBehind
    shapes += other.shapes
    needs += other.needs
    besides += other.besides
  }

  /// `-`, `1024`, `h`, `4h`, `5h/3`
  private static func extent(_ word: String) -> Extent {
    if word == "-" { return .any }
    if let number = Int(word) { return .fixed(number) }
    let parts = word.split(separator: "h", omittingEmptySubsequences: false)
    return .widths(parts[0].isEmpty ? 1 : Int(parts[0])!, dividedBy: parts[1].isEmpty ? 1 : Int(parts[1].dropFirst())!)
  }

  /// Whether all modules can be the family's; `nil` when one cannot.
  ///
  /// - Parameter names: the family's.
  func fit(_ survey: ModuleSurvey, names: ModuleNames) -> Fit? {
    var isNamed = false
    for kind in survey.kinds {
      if names.contains(flat: kind.path) { isNamed = true } else if !Self.matches(kind.path, besides) { return nil }
    }
    guard isNamed, let (width, constants) = width(of: survey.kinds) else { return nil }
    guard needs.isEmpty || survey.modules.contains(where: { Self.matches($0.path, needs) }) else { return nil }
    let blocks = survey.blocks
    guard ends.isEmpty || ends.contains(where: { $0.inputs == width && $0.endsWith(blocks) }) else { return nil }
    guard let width else { return widths.isEmpty || widths.contains { $0.holds(blocks) } ? .whole : nil }
    if widths.isEmpty { return .whole }
    if width < Self.smallestRealWidth { return isBehind ? .smallBehind : .small }
    guard constants, widths.contains(where: { $0.inputs == width && $0.holds(blocks) }) else { return nil }
    return others.contains { $0.inputs == width && $0.endsWith(blocks) } ? nil : .whole
  }

  /// The width that all shapes agree on, if they say one, and whether the extents that do not depend on it are right;
  /// `nil` when shapes contradict each other.
  private func width(of modules: [ChangedModule]) -> (width: Int?, constants: Bool)? {
    var width: Int?, constants = true
    for module in modules {
      let path = Array(module.path.utf8)
      guard let shape = shapes.first(where: { $0.pattern.match(path[...]) != nil }) else { continue }
      for case (let extent, let size?) in [(shape.inputs, module.inputs), (shape.rows, module.rows)] {
        switch extent {
        case .any: continue
        case .fixed(let number): if size != number { constants = false }
        case .widths(let factor, let divisor):
          guard size * divisor % factor == 0 else { return nil }
          let own = size * divisor / factor
          guard width == nil || width == own else { return nil }
          width = own
        }
      }
    }
    return (width, constants)
  }

  private static func matches(_ path: String, _ patterns: [NamePattern]) -> Bool {
    let path = Array(path.utf8)
    return patterns.contains { $0.match(path[...]) != nil }
  }
}

extension FamilySigns.Width {
  /// Whether no block has a number that a model of this width does not have.
  fileprivate func holds(_ found: [Substring: Int]) -> Bool {
    blocks.allSatisfy { row, count in found[Substring(row)].map { $0 <= count } ?? true }
  }

  /// Whether each row of blocks ends where a model of this kind ends.
  fileprivate func endsWith(_ found: [Substring: Int]) -> Bool {
    blocks.allSatisfy { row, count in found[Substring(row)] == count }
  }
}
