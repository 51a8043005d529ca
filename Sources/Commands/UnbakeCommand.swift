import ArgumentParser
import Baking
import Reports

struct UnbakeCommand: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "unbake",
    abstract: "Restores the base of a bake bit for bit, from the file that bake --undo wrote.",
    discussion: """
      The result is verified by the base's own hash before it gets its name. Adapters are not needed: the undo file has
      all that was added.

      Examples:
        lathe unbake both.safetensors --undo both.undo -o base.safetensors
        lathe unbake flux-style/ --undo style.undo -o flux-folder/
      """)

  @Argument(help: "A checkpoint that lathe bake wrote: file, index of shards, or folder.")
  var baked: String

  @Option(help: ArgumentHelp("The undo file of that bake.", valueName: "file"))
  var undo: String

  @Option(name: .shortAndLong, help: ArgumentHelp("Write the base here.", valueName: "path"))
  var output: String?

  @Flag(help: "Replace a file that exists. Folders are never replaced.")
  var force = false

  @Flag(help: "Restore and verify nothing, only say whether the two files belong together.")
  var dryRun = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard output != nil || dryRun else {
      throw ValidationError("expected -o <path>, found no output; hint: --dry-run writes nothing")
    }
  }

  func execute() throws -> Outcome {
    let unbake = try Unbake(baked: baked, undo: try UndoFile(path: undo))
    guard let output, !dryRun else {
      let report = UnbakeReport(Unbake.Result(output: output ?? "(no output)", bytes: try unbake.byteCount, files: []))
      try common.show(report, text: report.text(width: Console.width))
      return .done
    }
    let result = try withProgress("restoring", total: unbake.weightCount, isQuiet: common.quiet) {
      try unbake.write(to: output, overwriting: force, threads: common.threads, progress: $0)
    }
    let report = UnbakeReport(result)
    try common.show(report, text: report.text(width: Console.width))
    return .done
  }
}
