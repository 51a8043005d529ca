/// How two dialects name the weights of one network: the original authors' (left) and diffusers' or Hugging Face's
/// (right).
///
/// A map is a text file with one rule to a line. A rule gives a module of the left, then the module of the right that
/// holds the same weights; several on the right, written with `+` or in braces, share the rows of the left one in that
/// order. Behind them may stand:
///
/// - `rows:in,in,in,rest`: how many rows each part has: as many as there are input columns, or an equal share of what
///   is left. Without it all parts are equal.
/// - `swap`: the two halves of the rows stand in opposite order.
/// - `transposed`: the left stores the matrix transposed.
/// - `tensor`: the names are those of whole tensors, not of modules whose `.weight` and `.bias` are meant.
/// - `3x3`: the module is a convolution of such a kernel, which adapters that store matrices flat do not say.
/// - `read`: the left is a name that adapters come with, and that nobody writes; `all read` is said of all rules that follow.
///
/// `parts NAME` begins a table of indented pairs that a rule uses as `<NAME>` on both sides, in which `3x3` may stand too. `**` at
/// the end of both names stands for everything below. `same NAME…` are names that both sides have: adapters are converted only
/// by names that a rule has, so nothing goes without saying. Where rules give a module several names, the first is written.
///
/// `include NAME` stands for all lines of a map in `Names`.
///
/// `block LABEL BEGINNING…` says what block weights call the blocks of such names; `*` is the number behind the label.
///
/// Lines that begin with `width`, `other`, `ends`, `behind`, `shape`, `needs` or `beside` tell the family apart from others: `FamilySigns`.
public struct NameMap: Sendable {
  package enum RowShare: Sendable { case inputs, rest }

  package struct Rule: Sendable {
    package var left: NamePattern
    package var rights: [NamePattern]
    package var shares: [RowShare]
    package var swapsHalves: Bool
    package var isTransposed: Bool
    /// Whether the patterns are about tensors rather than modules.
    package var isTensor: Bool
    /// Extents of a convolution's kernel; empty where the map does not say them.
    package var kernel: [Int] = []
    /// Whether the name on the left is never written.
    package var isOnlyRead = false
  }

  /// Blocks as block weights call them.
  struct Block: Sendable {
    let label: String
    /// What their modules' names begin with, with underscores for dots.
    let beginning: String
    let isNumbered: Bool
  }

  /// A line of a table: names on both sides, and what else is said of them.
  private typealias Entry = (left: String, right: String, options: [String])

  /// Different from that of every other map.
  public let name: String
  package let rules: [Rule]
  let signs: FamilySigns
  let blocks: [Block]
  /// First levels of the names of its blocks on both sides: `input_blocks_`, `down_blocks_`.
  private let blockLevels: Set<String>

  /// - Precondition: `text` is a well-formed map: maps are part of the program.
  init(name: String, text: String) {
    self.name = name
    var tables: [String: [Entry]] = [:], table: String?
    var rules: [Rule] = [], signs = FamilySigns(), blocks: [Block] = []
    var allRead = false, lines = text.split(separator: "\n")[...]
    while let line = lines.popFirst() {
      guard !line.hasPrefix("#") else { continue }
      let words = line.split(separator: " ").map(String.init)
      guard let first = words.first else { continue }
      if first == "include" {
        lines = Self.text(named: words[1]).split(separator: "\n") + lines
      } else if line == "all read" {
        allRead = true
      } else if first == "parts" {
        table = words[1]
      } else if line.hasPrefix(" ") {
        tables[table!, default: []].append((words[0], words[1], Array(words[2...])))
      } else if first == "same" {
        let isTensor = words.last == "tensor"
        for name in (isTensor ? words.dropLast() : words).dropFirst().flatMap({ Self.alternatives($0) }) {
          rules += Self.rules(isTensor ? [name, name, "tensor"] : [name, name], tables, line: line)
        }
      } else if first == "block" {
        blocks += words[2...].map { Block(label: words[1], beginning: $0) }
      } else if !signs.add(words) {
        rules += Self.rules(words + (allRead ? ["read"] : []), tables, line: line)
      }
    }
    (self.rules, self.signs, self.blocks) = (rules, signs, blocks)
    blockLevels = Self.levels(of: blocks, rules)
  }

  private static func levels(of blocks: [Block], _ rules: [Rule]) -> Set<String> {
    let inBlocks = rules.filter { rule in blocks.contains { $0.label(of: rule.left.text.underscored) != nil } }
    let names = inBlocks.flatMap { [$0.left] + $0.rights }.map { $0.text.split(separator: ".") }
    // What has fewer levels is a module that one side has among its blocks and the other has not.
    return Set(names.filter { $0.count > 2 }.map { $0[0] + "_" })
  }

  /// Whether a name with underscores for dots begins as those of a block.
  package func hasBlock(of path: String) -> Bool { blockLevels.contains(where: path.hasPrefix) }

  private static func rules(
    _ words: [String], _ tables: [String: [Entry]], line: Substring
  ) -> [Rule] {
    var rights: [String] = [], shares: [RowShare] = [], options: Set<String> = []
    for word in words.dropFirst() where word != "+" {
      if word.hasPrefix("rows:") {
        shares = word.dropFirst(5).split(separator: ",").map { $0 == "in" ? .inputs : .rest }
      } else if ["swap", "transposed", "tensor", "3x3", "read"].contains(word) {
        options.insert(word)
      } else {
        rights += alternatives(word)
      }
    }
    precondition(
      !rights.isEmpty && (shares.isEmpty || shares.count == rights.count), "a naming rule of wrong form: \(line)")
    func rule(_ left: String, _ rights: [String], _ others: [String] = []) -> Rule {
      let left = NamePattern(left), options = options.union(others)
      return Rule(
        left: left, rights: rights.map { NamePattern($0) },
        shares: shares.isEmpty ? rights.map { _ in .rest } : shares, swapsHalves: options.contains("swap"),
        isTransposed: options.contains("transposed"), isTensor: options.contains("tensor") || left.hasRest,
        kernel: options.contains("3x3") ? [3, 3] : [], isOnlyRead: options.contains("read"))
    }
    guard let open = words[0].firstIndex(of: "<"), let close = words[0].firstIndex(of: ">") else {
      return [rule(words[0], rights)]
    }
    let mark = words[0][open...close]
    guard let table = tables[String(mark.dropFirst().dropLast())] else { preconditionFailure("no table \(mark)") }
    return table.map { entry in
      rule(
        words[0].replacing(mark, with: entry.left),
        rights.flatMap { right in alternatives(entry.right).map { right.replacing(mark, with: $0) } }, entry.options)
    }
  }

  /// `a.{b,c}.d` as `a.b.d` and `a.c.d`.
  static func alternatives(_ word: String) -> [String] {
    guard let open = word.firstIndex(of: "{"), let close = word.firstIndex(of: "}") else { return [word] }
    return word[word.index(after: open)..<close].split(separator: ",", omittingEmptySubsequences: false).flatMap {
      alternatives(String(word[..<open] + $0 + word[word.index(after: close)...]))
    }
  }
}

extension NameMap {
  /// The label of a module's block by these maps; `nil` where it is in none.
  static func blockLabel(of path: String, in maps: [NameMap]) -> String? {
    maps.lazy.flatMap(\.blocks).first { path.hasPrefix($0.beginning) }?.label(of: path)
  }
}

extension NameMap.Block {
  /// - Parameter beginning: `input_blocks.*`, `middle_block.`, `final_layer`.
  fileprivate init(label: String, beginning: String) {
    isNumbered = beginning.hasSuffix("*")
    (self.label, self.beginning) = (label, (isNumbered ? String(beginning.dropLast()) : beginning).underscored)
  }

  /// The label of a module's block: `IN04`. `nil` where it is in none of these.
  func label(of path: String) -> String? {
    guard path.hasPrefix(beginning) else { return nil }
    guard isNumbered else { return label }
    return path.dropFirst(beginning.count).split(separator: "_").first.flatMap { Int($0) }.map(numbered)
  }

  /// The label with a block's number: `IN04`.
  private func numbered(_ number: Int) -> String { label + (number < 10 ? "0\(number)" : "\(number)") }
}
