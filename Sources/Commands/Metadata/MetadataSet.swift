import ArgumentParser
import Factoring
import Metadata
import Reports

struct MetadataSet: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "set",
    abstract: "Adds or changes entries of a file's metadata.",
    discussion: """
      Examples:
        lathe metadata set style.safetensors modelspec.title="My style" modelspec.license=MIT -o titled.safetensors
        lathe metadata set style.safetensors modelspec.trigger_phrase=lumi --force
      """)

  @Argument(help: "A safetensors file, or the folder of a PEFT adapter.")
  var file: String

  @Argument(help: ArgumentHelp("Entries to add or change: KEY=VALUE.", valueName: "entry"))
  var entries: [String]

  @OptionGroup var output: MetadataOutputOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    for entry in entries where entry.firstIndex(of: "=") == nil || entry.hasPrefix("=") {
      throw ValidationError("expected KEY=VALUE, found \(entry)")
    }
  }

  func execute() throws -> Outcome {
    let pairs = entries.map { entry in
      let sign = entry.firstIndex(of: "=")!
      return (key: String(entry[..<sign]), value: String(entry[entry.index(after: sign)...]))
    }
    return try MetadataRun(file: file, output: output, common: common).write([.set(pairs)])
  }
}

/// The last part that set and strip have in common: write and report.
struct MetadataRun {
  let file: String
  let output: MetadataOutputOptions
  let common: CommonOptions

  func write(_ changes: [MetadataEdit.Change]) throws -> Outcome {
    let edit = try MetadataEdit(changes, of: file)
    let destination = output.output ?? edit.file.path
    if !output.dryRun { try edit.write(to: destination, overwriting: output.force) }
    let report = MetadataEditReport(edit, output: destination, isDryRun: output.dryRun)
    try common.show(report, text: report.text(width: Console.width))
    return edit.missing.isEmpty ? .done : .skipped
  }
}
