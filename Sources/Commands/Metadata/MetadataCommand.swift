import ArgumentParser

struct MetadataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metadata",
    abstract: "Shows and changes the metadata of safetensors files; the tensors keep every bit.",
    discussion: """
      Works on adapters and checkpoints of any size: the header is written anew and the data is copied as it is. Hashes of
      the tensors that the metadata holds are computed again with every change.

      Examples:
        lathe metadata get style.safetensors ss_base_model_version
        lathe metadata set style.safetensors modelspec.title="My style" -o titled.safetensors
        lathe metadata strip style.safetensors --private --force
      """,
    subcommands: [MetadataGet.self, MetadataSet.self, MetadataStrip.self])
}

/// Where a change of metadata is written.
struct MetadataOutputOptions: ParsableArguments {
  @Option(
    name: .shortAndLong, help: ArgumentHelp("Write the file here (default, with --force: in place).", valueName: "file")
  )
  var output: String?

  @Flag(help: "Replace the file at -o, or the input itself where there is no -o.")
  var force = false

  @Flag(help: "Say what would change, but write nothing.")
  var dryRun = false

  func validate() throws {
    guard output != nil || force || dryRun else {
      throw ValidationError("expected -o <file>, or --force to change the file in place, found neither")
    }
  }
}
