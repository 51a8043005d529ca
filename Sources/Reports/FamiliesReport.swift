public import JSON
import Models
import Rendering

/// The models whose names are known.
public struct FamiliesReport: JSONReport {
  public static let schema = "lathe.families/1"

  struct Row: Encodable, Sendable {
    var name: String
    /// As the command line calls it.
    var option: String
    /// `original` and `diffusers`, or `both` where they have the same names.
    var layouts: [String]
    /// Of diffusers' configurations.
    var classes: [String]
    /// How many numbers a list of block weights may have.
    var blockLists: [Int]
    var renders: Bool
  }

  let families: [Row]

  public init() {
    families = Family.withNames.map { family in
      Row(
        name: family.name, option: family.optionName,
        layouts: family.hasOneLayout ? ["both"] : ["original", "diffusers"], classes: family.classNames,
        blockLists: Set(family.blockLists.map(\.count)).sorted(), renders: PictureModel.canRender(family))
    }
  }

  /// A table, and what all have in common.
  public func text(width: Int) -> String {
    var table = TextTable(.name("family"), .word("option"), .word("layouts"), .word("block lists"), .word("render"))
    for row in families {
      table.add(
        row.name, row.option, row.layouts == ["both"] ? "one for both" : row.layouts.joined(separator: ", "),
        row.blockLists.map(String.init).joined(separator: ", "), row.renders ? "yes" : "no")
    }
    return table.lines(width: width).map { $0 + "\n" }.joined()
      + "\nAll of them: check, bake, unbake, extract, convert, compare, merge, resize, spectrum, inspect; block weights by the\n"
      + "names of their blocks. Models that are not listed: all of these by the base's own names, but for convert.\n"
  }
}
