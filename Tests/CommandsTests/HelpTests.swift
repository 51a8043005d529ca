import Foundation
import Testing

/// The help of every subcommand, word for word: it is part of the contract, and each shows worked examples.
///
/// `RECORD_SNAPSHOTS=1` writes the present texts and fails, so that recording cannot pass for testing.
@Suite struct HelpTests {
  static let subcommands = [
    "", "inspect", "spectrum", "compare", "check", "resize", "merge", "bake", "unbake", "extract", "render", "audit",
    "convert", "families", "sensitivity", "metadata", "metadata get", "metadata set", "metadata strip",
  ]

  @Test("the help text is the recorded one", arguments: subcommands)
  func text(_ subcommand: String) throws {
    let run = try Tool.run(subcommand.split(separator: " ").map(String.init) + ["--help"])
    #expect(run.status == 0)
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Snapshots/\(subcommand.isEmpty ? "lathe" : subcommand.replacing(" ", with: "-")).txt")
    if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] != nil {
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(run.output.utf8).write(to: file)
      Issue.record("recorded \(file.lastPathComponent)")
      return
    }
    let recorded = try String(contentsOf: file, encoding: .utf8)
    #expect(run.output == recorded)
    #expect(subcommand.isEmpty || run.output.components(separatedBy: "\n  lathe \(subcommand) ").count >= 3)
  }

  @Test("--version prints the version")
  func version() throws {
    let run = try Tool.run(["--version"])
    #expect(run.status == 0)
    #expect(run.output == "0.1.0\n")
  }
}
