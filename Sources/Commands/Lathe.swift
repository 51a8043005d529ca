public import ArgumentParser
import Factoring
import Files

/// The root of the command line.
public struct Lathe: ParsableCommand {
  /// The program's name, what help says of it, and its subcommands in the order of help.
  public static let configuration = CommandConfiguration(
    commandName: "lathe",
    abstract: "Inspects, measures, shrinks, merges, bakes and renders LoRA adapters, with exact errors.",
    discussion: """
      An adapter with its strength is written FILE@STRENGTH (style.safetensors@0.8; @0.8,0.5 = UNet, text encoder).
      The report goes to standard output; progress, warnings and errors go to standard error.

      Exit codes: 0 done, 1 the audit's verdict is fail, 2 done with something skipped, 64 usage, 65 bad data, 66 input missing,
      73 cannot create output, 74 input/output error.
      """,
    version: ToolVersion.current,
    subcommands: [
      Inspect.self, SpectrumCommand.self, Compare.self, Check.self, Resize.self, Merge.self, Bake.self,
      UnbakeCommand.self, Extract.self, Convert.self,
      FamiliesCommand.self, MetadataCommand.self, Render.self, SensitivityCommand.self, AuditCommand.self,
    ])

  /// As the argument parser makes it: without a subcommand it shows the help.
  public init() {}

  /// What the program does to its process before anything else: signals that end it remove what is unfinished, and all files
  /// that are read are remembered. A process that only uses the library keeps its own ways.
  public static func prepareProcess() {
    OwnEnvironment.prepare()
    Interruption.install { $0.harmless.oneLine }
    InputFiles.watch()
  }

  /// Does what the process's arguments ask for, and ends the process.
  ///
  /// Threads may still be at work when a command fails. So the process ends without the C library's exit handlers, by
  /// which other libraries would take from under those threads what they use.
  public static func runProcess() -> Never {
    do {
      var command = try parseAsRoot()
      try command.run()
      Interruption.leave(code: 0)
    } catch {
      let code = exitCode(for: error).rawValue
      let message = fullMessage(for: error)
      if !message.isEmpty { code == 0 ? print(message) : Console.tell(message + "\n") }
      Interruption.leave(code: code)
    }
  }
}
