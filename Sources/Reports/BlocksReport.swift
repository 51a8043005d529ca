public import Adapters
import Factoring
public import JSON
import Models

/// The blocks of adapters, as block weights can name them.
public struct BlocksReport: JSONReport {
  public static let schema = "lathe.blocks/1"

  struct Row: Encodable, Sendable {
    var name: String
    @Explicit var label: String?
    var targets: Int
  }

  struct File: Encodable, Sendable {
    var file: String
    var family: String
    /// How many numbers a list may have.
    var listLengths: [Int]
    var blocks: [Row]
  }

  let adapters: [File]

  public init(_ adapters: [Adapter]) {
    self.adapters = adapters.map { adapter in
      File(
        file: adapter.path, family: adapter.family.name, listLengths: BlockWeights.listLengths(of: adapter.family),
        blocks: BlockWeights.blocks(of: adapter).map { Row(name: $0.name, label: $0.label, targets: $0.targets) })
    }
  }

  /// A table for each adapter.
  public func text(width: Int) -> String {
    adapters.map { adapter in
      var table = TextTable(.name("block"), .word("label"), .number("targets"))
      for row in adapter.blocks { table.add(row.name, row.label ?? "", "\(row.targets)") }
      let lengths = adapter.listLengths.map(String.init).joined(separator: " or ")
      let lists = lengths.isEmpty ? "names only" : "names, labels, or \(lengths) numbers"
      return "\(adapter.file): \(adapter.family): \(lists)\n" + table.lines(width: width).map { $0 + "\n" }.joined()
    }.joined(separator: "\n")
  }
}
