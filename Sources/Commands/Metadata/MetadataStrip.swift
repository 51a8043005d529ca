import ArgumentParser
import Factoring

struct MetadataStrip: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "strip",
    abstract: "Removes entries of a file's metadata, or all that tells about the person who trained it.",
    discussion: """
      --private removes folders of pictures, comments, session numbers, names of machines and users and whole
      configurations of trainers; it cuts every absolute path to its last part, and puts numbers for the folders' names
      among the tags. Tags and settings stay. The report shows each entry that changes.

      Examples:
        lathe metadata strip style.safetensors --private -o public.safetensors
        lathe metadata strip style.safetensors ss_tag_frequency ss_datasets --force
      """)

  @Argument(help: "A safetensors file, or the folder of a PEFT adapter.")
  var file: String

  @Argument(help: "Entries to remove; one that is not there gives exit code 2.")
  var keys: [String] = []

  @Flag(name: .customLong("private"), help: "Remove what is private.")
  var isPrivate = false

  @OptionGroup var output: MetadataOutputOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard !keys.isEmpty || isPrivate else { throw ValidationError("expected keys or --private, found neither") }
  }

  func execute() throws -> Outcome {
    try MetadataRun(file: file, output: output, common: common).write(
      [.strip(keys)] + (isPrivate ? [.stripPrivate] : []))
  }
}
