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
///
/// `parts NAME` begins a table of indented pairs that a rule uses as `<NAME>` on both sides. `**` at the end of both
/// names stands for everything below. `same NAME…` are names that both sides have: adapters are converted only by names
/// that a rule has, so nothing goes without saying.
///
/// Lines that begin with `width`, `other`, `shape`, `needs` or `beside` tell the family apart from others: `FamilySigns`.
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
  }

  /// Different from that of every other map.
  public let name: String
  package let rules: [Rule]
  let signs: FamilySigns

  /// - Precondition: `text` is a well-formed map: maps are part of the program.
  init(name: String, text: String) {
    self.name = name
    var tables: [String: [(left: String, right: String)]] = [:], table: String?
    var rules: [Rule] = [], signs = FamilySigns()
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ").map(String.init)
      guard let first = words.first else { continue }
      if first == "parts" {
        table = words[1]
      } else if line.hasPrefix(" ") {
        tables[table!, default: []].append((words[0], words[1]))
      } else if first == "same" {
        let isTensor = words.last == "tensor"
        for name in (isTensor ? words.dropLast() : words).dropFirst().flatMap({ Self.alternatives($0) }) {
          rules += Self.rules(isTensor ? [name, name, "tensor"] : [name, name], tables, line: line)
        }
      } else if !signs.add(words) {
        rules += Self.rules(words, tables, line: line)
      }
    }
    (self.rules, self.signs) = (rules, signs)
  }

  private static func rules(
    _ words: [String], _ tables: [String: [(left: String, right: String)]], line: Substring
  ) -> [Rule] {
    var rights: [String] = [], shares: [RowShare] = [], options: Set<String> = []
    for word in words.dropFirst() where word != "+" {
      if word.hasPrefix("rows:") {
        shares = word.dropFirst(5).split(separator: ",").map { $0 == "in" ? .inputs : .rest }
      } else if ["swap", "transposed", "tensor"].contains(word) {
        options.insert(word)
      } else {
        rights += alternatives(word)
      }
    }
    precondition(
      !rights.isEmpty && (shares.isEmpty || shares.count == rights.count), "a naming rule of wrong form: \(line)")
    func rule(_ left: String, _ rights: [String]) -> Rule {
      let left = NamePattern(left)
      return Rule(
        left: left, rights: rights.map { NamePattern($0) },
        shares: shares.isEmpty ? rights.map { _ in .rest } : shares, swapsHalves: options.contains("swap"),
        isTransposed: options.contains("transposed"), isTensor: options.contains("tensor") || left.hasRest)
    }
    guard let open = words[0].firstIndex(of: "<"), let close = words[0].firstIndex(of: ">") else {
      return [rule(words[0], rights)]
    }
    let mark = words[0][open...close]
    guard let table = tables[String(mark.dropFirst().dropLast())] else { preconditionFailure("no table \(mark)") }
    return table.map { entry in
      rule(
        words[0].replacing(mark, with: entry.left),
        rights.flatMap { right in alternatives(entry.right).map { right.replacing(mark, with: $0) } })
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
