import Foundation
import FoundationXML
import Tensors
import TestSupport
import Testing

/// Every field that scripts rely on, in every subcommand's JSON, and text on standard output only.
@Suite struct ReportTests {
  let folder: TemporaryFolder
  let style: String
  let other: String

  init() throws {
    folder = try TemporaryFolder()
    style = try Fixture.adapter(in: folder)
    other = try Fixture.adapter(in: folder, "other.safetensors", seed: 2)
  }

  private func keys(_ value: Any?) -> Set<String> { Set((value as? [String: Any] ?? [:]).keys) }
  private func first(_ json: [String: Any], _ key: String) -> Any? { (json[key] as? [Any])?.first }

  @Test("inspect tells file, format, family, hashes, metadata, tags and targets")
  func inspect() throws {
    let run = try Tool.run(["inspect", "--json", "--norms", style])
    #expect(run.status == 0)
    #expect(run.errors.isEmpty)
    #expect(run.json["schema"] as? String == "lathe.inspect/1")
    #expect(run.json["file"] as? String == style)
    #expect(run.json["format"] as? String == "kohya")
    #expect(run.json["family"] as? String == "SD1.x")
    #expect(run.json["parameters"] as? Int == 32 * 4 * 3 + 4 * 768 + 4 * 32 + 4 * 16 * 9)
    #expect(run.json["bytes"] as? Int == (try Data(contentsOf: URL(filePath: style))).count)
    #expect(keys(run.json["hashes"]) == ["sha256", "autov2", "autov3"])
    let hashes = run.json["hashes"] as? [String: String] ?? [:]
    #expect(hashes["sha256"]?.count == 64)
    #expect(hashes["autov2"] == hashes["sha256"].map { String($0.prefix(10)) })
    #expect(hashes["autov3"]?.count == 12)
    #expect((run.json["metadata"] as? [String: String])?["ss_network_dim"] == "4")
    #expect((run.json["problems"] as? [String])?.isEmpty == true)
    #expect((first(run.json, "tags") as? [String: Any])?["tag"] as? String == "smile")
    let target = first(run.json, "targets")
    #expect(
      keys(target).isSuperset(of: ["name", "base_key", "kind", "shape", "rank", "alpha", "scale", "dtype", "norm"]))
    #expect((target as? [String: Any])?["base_key"] is NSNull)
    #expect((target as? [String: Any])?["scale"] as? Double == 0.5)
  }

  @Test("without --hashes the header alone is read, and the fields are null")
  func inspectWithoutHashes() throws {
    let run = try Tool.run(["inspect", "--json", "--no-hashes", style])
    #expect((run.json["hashes"] as? [String: Any])?["sha256"] is NSNull)
    #expect((first(run.json, "targets") as? [String: Any])?["norm"] is NSNull)
  }

  @Test("spectrum tells singular values and ranks for energies")
  func spectrum() throws {
    let csv = folder.file("values.csv"), svg = folder.file("energy.svg")
    let run = try Tool.run(["spectrum", "--json", style, "--csv", csv, "--svg", svg])
    #expect(run.status == 0)
    #expect(run.json["schema"] as? String == "lathe.spectrum/1")
    #expect(keys(run.json["energy_rank"]) == ["0.5", "0.9", "0.95", "0.99", "0.999"])
    let target = first(run.json, "targets") as? [String: Any]
    #expect(
      keys(target).isSuperset(of: [
        "name", "rank", "norm", "singular_values", "effective_rank", "stable_rank", "energy_rank",
      ]))
    #expect((target?["singular_values"] as? [Double])?.count == 4)
    let lines = try String(contentsOfFile: csv, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 1 + 3 * 4)
    #expect(lines[0] == "target,index,singular_value,energy")
    #expect(try XMLDocument(contentsOf: URL(filePath: svg)).rootElement()?.name == "svg")
  }

  @Test("compare tells error, cosine and targets; with --all cross-talk")
  func compare() throws {
    let run = try Tool.run(["compare", "--json", style, other])
    #expect(run.status == 0)
    #expect(run.json["schema"] as? String == "lathe.compare/1")
    #expect(keys(run.json).isSuperset(of: ["relative_error", "cosine", "targets"]))
    #expect(keys(first(run.json, "targets")).isSuperset(of: ["name", "relative_error", "spectral_error", "cosine"]))
    let same = try Tool.run(["compare", "--json", style, style])
    let error = same.json["relative_error"] as? Double ?? .nan
    #expect(error <= 1e-14)
    let all = try Tool.run(["compare", "--json", "--all", style, other])
    #expect((all.json["pairs"] as? [Any])?.count == 2)
  }

  @Test("a strength multiplies: twice the strength is an error of one")
  func strength() throws {
    let run = try Tool.run(["compare", "--json", style, style + "@2"])
    let error = run.json["relative_error"] as? Double ?? .nan,
      factor = (run.json["best_fit"] as? [String: Double])?["factor"] ?? .nan
    #expect(abs(error - 1) <= 1e-12)
    #expect(abs(factor - 2) <= 1e-12)
  }

  @Test("resize tells output, bytes, errors, targets and the bound; the file is what the report says")
  func resize() throws {
    let output = folder.file("small.safetensors")
    let run = try Tool.run(["resize", "--json", style, "-o", output, "--size", "9000"])
    #expect(run.status == 0)
    #expect(run.json["schema"] as? String == "lathe.resize/1")
    #expect(keys(run.json).isSuperset(of: ["output", "bytes", "relative_error", "energy", "targets", "lower_bound"]))
    #expect(keys(first(run.json, "targets")) == ["name", "rank_before", "rank_after", "relative_error"])
    let size = try Data(contentsOf: URL(filePath: output)).count
    #expect(run.json["bytes"] as? Int == size)
    #expect(size <= 9000)
    let reported = run.json["relative_error"] as? Double ?? .nan
    let compared = try Tool.run(["compare", "--json", style, output]).json["relative_error"] as? Double ?? .nan
    #expect(abs(reported - compared) <= 1e-9)
    let bound = run.json["lower_bound"] as? Double ?? .nan
    #expect(bound <= reported)
  }

  @Test("several sizes come from one call, each in its own file")
  func sizes() throws {
    let run = try Tool.run(["resize", "--json", style, "-o", folder.file("s-{size}.safetensors"), "--size", "6kB,9kB"])
    #expect(run.status == 0)
    #expect(
      (run.json["outputs"] as? [[String: Any]])?.compactMap { $0["output"] as? String } == [
        folder.file("s-6kB.safetensors"), folder.file("s-9kB.safetensors"),
      ])
    #expect(try folder.names.filter { $0.hasPrefix("s-") } == ["s-6kB.safetensors", "s-9kB.safetensors"])
  }

  @Test("a dry run writes nothing and says what would come out")
  func dryRun() throws {
    let before = try folder.names
    let run = try Tool.run(["resize", "--json", style, "--dry-run", "--rank", "2"])
    #expect(run.status == 0)
    #expect(run.json["dry_run"] as? Bool == true)
    #expect(try folder.names == before)
    let real = try Tool.run(["resize", "--json", style, "-o", folder.file("r.safetensors"), "--rank", "2"])
    #expect(real.json["bytes"] as? Int == run.json["bytes"] as? Int)
  }

  @Test("the curve falls from the smallest to the full file")
  func curve() throws {
    let run = try Tool.run(["resize", "--json", style, "--curve"])
    let points = run.json["points"] as? [[String: Any]] ?? []
    let bytes = points.compactMap { $0["bytes"] as? Int },
      errors = points.compactMap { $0["relative_error"] as? Double }
    #expect(bytes == bytes.sorted() && bytes.count > 5)
    #expect(errors == errors.sorted(by: >) && errors.last == 0)
  }

  @Test("merge tells what is kept of each adapter, and --force is needed to overwrite")
  func merge() throws {
    let output = folder.file("both.safetensors")
    let arguments = ["merge", "--json", style + "@0.7", other + "@-0.3,0.5", "-o", output]
    let run = try Tool.run(arguments)
    #expect(run.status == 0)
    #expect(run.json["schema"] as? String == "lathe.merge/1")
    #expect(keys(run.json).isSuperset(of: ["output", "bytes", "relative_error", "energy", "targets", "adapters"]))
    #expect(keys(first(run.json, "adapters")) == ["file", "strength", "retention"])
    #expect(try Tool.run(arguments).status == 73)
    #expect(try Tool.run(arguments + ["--force"]).status == 0)
  }

  @Test("a recipe file gives the same bytes as the same options")
  func recipe() throws {
    let text =
      "adapters:\n  - file: style.safetensors\n    strength: 0.7\n  - file: other.safetensors\n    strength: -0.3\nrank: 3\n"
    try folder.write(Array(text.utf8), to: "merge.yaml")
    let byRecipe = folder.file("a.safetensors"), byOptions = folder.file("b.safetensors")
    #expect(try Tool.run(["merge", "--recipe", folder.file("merge.yaml"), "-o", byRecipe]).status == 0)
    #expect(try Tool.run(["merge", style + "@0.7", other + "@-0.3", "--rank", "3", "-o", byOptions]).status == 0)
    #expect(try Data(contentsOf: URL(filePath: byRecipe)) == Data(contentsOf: URL(filePath: byOptions)))
  }

  @Test("what is left out is named, and the exit code is 2")
  func skipped() throws {
    let strange = folder.file("strange.safetensors")
    try writeAdapter(
      to: strange,
      tensors: [
        ("lora_unet_a.lora_up.weight", [2, 1], .f32, [1, 2]), ("lora_unet_a.lora_down.weight", [1, 2], .f32, [3, 4]),
        ("what.is.this", [1], .f32, [0]),
      ],
      metadata: [])
    let run = try Tool.run([
      "resize", "--json", strange, "-o", folder.file("o.safetensors"), "--rank", "1", "--allow-unknown",
    ])
    #expect(run.status == 2)
    #expect(run.json["skipped"] as? [String] == ["\(strange): what.is.this"])
  }

  @Test(
    "text reports keep standard error empty when nothing is wrong",
    arguments: [["inspect"], ["spectrum"], ["spectrum", "--targets"]])
  func text(_ arguments: [String]) throws {
    let run = try Tool.run(arguments + [style])
    #expect(run.status == 0)
    #expect(run.errors.isEmpty)
    #expect(run.output.contains("style.safetensors"))
  }
}
