import Foundation
import Tensors
import TestSupport
import Testing

/// Bad calls and bad files: one clear line on standard error, the right exit code, nothing on standard output, and
/// nothing new on the disk.
@Suite struct FailureTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    /// `STYLE` is a good adapter, `OUT` an output that does not exist yet.
    var arguments: [String]
    var status: Int32
    /// Part of the message; `DIR` is the folder.
    var message: String
    var testDescription: String { name }
  }

  static let cases = [
    Case(
      name: "a file that is not there", arguments: ["inspect", "DIR/none.safetensors"], status: 66,
      message: "lathe: error: DIR/none.safetensors: no such file\n"),
    Case(
      name: "a folder that is no adapter", arguments: ["spectrum", "DIR"], status: 65,
      message: "lathe: error: DIR: expected an adapter, found a folder without adapter_model.safetensors\n"),
    Case(
      name: "an HTML page", arguments: ["spectrum", "DIR/page.safetensors"], status: 65,
      message:
        "lathe: error: DIR/page.safetensors: content: expected a safetensors header, found an HTML page; hint: the download link gave a web page (a login or error page), download the file itself\n"
    ),
    Case(
      name: "a download that stopped", arguments: ["resize", "DIR/short.safetensors", "-o", "OUT", "--rank", "1"],
      status: 65, message: "hint: the download stopped early, fetch it again\n"),
    Case(
      name: "no rule", arguments: ["resize", "STYLE", "-o", "OUT"], status: 64,
      message:
        "Error: expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, --until or --curve, found none\n"
    ),
    Case(
      name: "two rules", arguments: ["resize", "STYLE", "-o", "OUT", "--rank", "1", "--size", "1kB"], status: 64,
      message: "expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, found 2\n"
    ),
    Case(
      name: "no output", arguments: ["resize", "STYLE", "--rank", "1"], status: 64,
      message: "expected -o <file>, found no output; hint: --dry-run writes nothing\n"),
    Case(
      name: "rank 0", arguments: ["resize", "STYLE", "-o", "OUT", "--rank", "0"], status: 64,
      message: "--rank: expected at least 1, found 0\n"),
    Case(
      name: "energy above 1", arguments: ["resize", "STYLE", "-o", "OUT", "--energy", "95"], status: 64,
      message: "--energy: expected a number above 0 and at most 1, found 95.0\n"),
    Case(
      name: "energy NaN", arguments: ["resize", "STYLE", "-o", "OUT", "--energy", "nan"], status: 64,
      message: "--energy: expected a number above 0 and at most 1, found nan\n"),
    Case(
      name: "a size that is none", arguments: ["resize", "STYLE", "-o", "OUT", "--size", "20 parsecs"], status: 64,
      message: "--size: expected a size such as 20MB or 50%, found 20 parsecs\n"),
    Case(
      name: "a size too small", arguments: ["resize", "STYLE", "-o", "OUT", "--size", "100"], status: 64,
      message: "size: expected at least"),
    Case(
      name: "several sizes in one name", arguments: ["resize", "STYLE", "-o", "OUT", "--size", "4kB,8kB"], status: 64,
      message: "-o: expected {size} in the name for several sizes, found OUT\n"),
    Case(
      name: "an error below what f16 can hold",
      arguments: ["resize", "STYLE", "-o", "OUT", "--dtype", "f16", "--max-error", "0.0001"], status: 64,
      message: "found 0.0001; hint: --dtype f32\n"),
    Case(
      name: "an output folder that is not there",
      arguments: ["resize", "STYLE", "-o", "DIR/none/out.safetensors", "--rank", "1"], status: 73,
      message: "lathe: error: DIR/none/out.safetensors: cannot create: DIR/none/: No such file or directory\n"),
    Case(
      name: "an output that exists", arguments: ["resize", "STYLE", "-o", "STYLE", "--rank", "1"], status: 73,
      message: "lathe: error: STYLE: exists already; hint: --force overwrites it\n"),
    Case(
      name: "a delta without its base",
      arguments: ["resize", "GOLDENS/kohya_boft.safetensors", "-o", "OUT", "--rank", "1"],
      status: 65,
      message: ": boft depends on the base weight: expected a base, found none; "
        + "hint: give the checkpoint with --base\n"),
    Case(
      name: "one adapter to compare", arguments: ["compare", "STYLE"], status: 64,
      message: "expected two adapters, found 1\n"),
    Case(
      name: "two strengths to compare", arguments: ["compare", "STYLE@1,0.5", "STYLE"], status: 64,
      message: "STYLE: expected one strength for the whole adapter, found two\n"),
    Case(
      name: "a strength that is not finite", arguments: ["merge", "STYLE@inf", "-o", "OUT"], status: 64,
      message: "The value 'STYLE@inf' is invalid"),
    Case(
      name: "a recipe with a misspelled field", arguments: ["merge", "--recipe", "DIR/typo.yaml", "-o", "OUT"],
      status: 65, message: "lathe: error: DIR/typo.yaml: recipe: expected a known field, found sizee\n"),
    Case(
      name: "an unknown tensor", arguments: ["resize", "DIR/strange.safetensors", "-o", "OUT", "--rank", "1"],
      status: 65,
      message:
        "DIR/strange.safetensors: what.is.this: name: expected a known adapter tensor, found this one; hint: --allow-unknown leaves it out\n"
    ),
    Case(
      name: "a name that would be two lines, and steer a terminal",
      arguments: ["resize", "DIR/lines.safetensors", "-o", "OUT", "--rank", "1"], status: 65,
      message: "DIR/lines.safetensors: x?lathe: error: y?[2J??z: name: expected a known adapter tensor, found this one;"
    ),
    Case(
      name: "a name that nobody can read", arguments: ["spectrum", "DIR/long.safetensors"], status: 65,
      message: "aaaaaaaaaa … aaaaaaaaaa"),
    Case(
      name: "NaN in a factor", arguments: ["resize", "DIR/nan.safetensors", "-o", "OUT", "--rank", "1"], status: 65,
      message: "DIR/nan.safetensors: lora_unet_a: up: expected finite values, found 1 NaN or infinite\n"),
    Case(
      name: "eight bits without an alpha",
      arguments: ["resize", "GOLDENS/diffusers_peft.safetensors", "-o", "OUT", "--rank", "1", "--dtype", "f8_e4m3"],
      status: 64,
      message: "F8_E4M3 factors need an alpha to scale them, and the diffusers names have none; hint: --format kohya\n"),
    Case(
      name: "an unknown option", arguments: ["inspect", "STYLE", "--normz"], status: 64,
      message: "Unknown option '--normz'"),
  ]

  @Test("bad input gives one line and the right exit code", arguments: cases)
  func failure(_ item: Case) throws {
    let folder = try TemporaryFolder()
    let style = try Fixture.adapter(in: folder)
    try folder.write(Array("<!DOCTYPE html><html>Sign in</html>".utf8), to: "page.safetensors")
    try folder.write(Array(try Data(contentsOf: URL(filePath: style)).dropLast(1000)), to: "short.safetensors")
    try folder.write(Array("adapters:\n  - file: style.safetensors\nsizee: 4kB\n".utf8), to: "typo.yaml")
    let pair: [(name: String, shape: [Int], dtype: DType, values: [Double])] = [
      ("lora_unet_a.lora_up.weight", [2, 1], .f32, [1, 2]), ("lora_unet_a.lora_down.weight", [1, 2], .f32, [3, 4]),
    ]
    try writeAdapter(
      to: folder.file("strange.safetensors"), tensors: pair + [("what.is.this", [1], .f32, [0])], metadata: [])
    try writeAdapter(
      to: folder.file("lines.safetensors"),
      tensors: pair + [("x\nlathe: error: y\u{1b}[2J\u{9b}\u{202e}z", [1], .f32, [0])], metadata: [])
    try writeAdapter(
      to: folder.file("long.safetensors"),
      tensors: pair + [(String(repeating: "a", count: 3000), [1], .f32, [0])], metadata: [])
    try writeAdapter(
      to: folder.file("nan.safetensors"),
      tensors: [("lora_unet_a.lora_up.weight", [2, 1], .f32, [.nan, 2]), pair[1]], metadata: [])
    let before = try folder.names, styleBefore = try Data(contentsOf: URL(filePath: style))
    func resolved(_ text: String) -> String {
      text.replacingOccurrences(of: "STYLE", with: style).replacingOccurrences(
        of: "OUT", with: folder.file("out.safetensors")
      )
      .replacingOccurrences(of: "DIR", with: folder.path).replacingOccurrences(
        of: "GOLDENS", with: Goldens.path("dialects"))
    }
    let run = try Tool.run(item.arguments.map(resolved))
    #expect(run.status == item.status)
    #expect(run.errors.contains(resolved(item.message)), "\(run.errors)")
    #expect(run.output.isEmpty)
    let lines = run.errors.split(separator: "\n").filter {
      !$0.hasPrefix("Usage:") && !$0.contains("--help' for more") && !$0.hasPrefix("Help:")
    }
    #expect(lines.count == 1 || item.status == 64, "\(run.errors)")
    #expect(try folder.names == before)
    #expect(try Data(contentsOf: URL(filePath: style)) == styleBefore)
  }

  @Test("a full disk behind standard output is noticed")
  func fullDisk() throws {
    let folder = try TemporaryFolder()
    let run = try Tool.run(["inspect", try Fixture.adapter(in: folder)], standardOutput: "/dev/full")
    #expect(run.status == 74)
    #expect(run.errors == "lathe: error: standard output: cannot write: No space left on device\n")
  }

  @Test("one broken file among many does not hide the others, and is told by the exit code")
  func manyFiles() throws {
    let folder = try TemporaryFolder()
    let style = try Fixture.adapter(in: folder)
    let run = try Tool.run(["inspect", "--json", folder.file("none.safetensors"), style])
    #expect(run.status == 65)
    #expect((run.json["files"] as? [Any])?.count == 1)
    #expect(run.errors == "lathe: error: \(folder.file("none.safetensors")): no such file\n")
  }
}
