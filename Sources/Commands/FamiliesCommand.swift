import ArgumentParser
import Reports

struct FamiliesCommand: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "families",
    abstract: "Lists the models whose names are known: layouts, lists of block weights, and which can be rendered.",
    discussion: """
      What stands under --family is what that option takes in other commands.

      Examples:
        lathe families --quiet
        lathe families --json
      """)

  @OptionGroup var common: CommonOptions

  func execute() throws -> Outcome {
    let report = FamiliesReport()
    try common.show(report, text: report.text(width: Console.width))
    return .done
  }
}
