import Adapters
import Foundation
import TestSupport
import Testing

/// Methods of merging, spikes and trials, on the command line.
@Suite struct MergeMethodCommandTests {
  private let folder: TemporaryFolder
  private let a = Goldens.path("merging/a.safetensors"), b = Goldens.path("merging/b.safetensors")

  init() throws { folder = try TemporaryFolder() }

  private func merge(_ arguments: [String]) throws -> Tool.Run {
    try Tool.run(["merge", a, b, "-o", folder.file("m.safetensors"), "--force"] + arguments)
  }

  @Test("The report names the method with what it did where it was measured")
  func report() throws {
    let run = try merge(["--method", "ties", "--rank", "4", "--density", "0.3"])
    #expect(run.status == 0)
    for part in ["ties, density 0.3", "1.094 times the sum's", "of what ties makes"] {
      #expect(run.output.contains(part), "\(part)")
    }
    #expect(try merge(["--method", "tsv", "--json"]).json["method"] as? String == "tsv")
    #expect(try merge(["--json"]).json["method"] == nil)
  }

  @Test(
    "What does not go together is one line and no file",
    arguments: [
      (["--method", "ties"], 65), (["--method", "ties", "--energy", "0.9"], 65), (["--density", "0.5"], 64),
      (["--method", "svd"], 64), (["--method", "null-space"], 64), (["--method", "null-space", "--protect", "x"], 64),
      (["--method", "ties", "--rank", "2", "--drop-seed", "3"], 64),
      (["--method", "dare", "--rank", "2", "--density", "0"], 64),
      (["--try", "exact,nonsense"], 64), (["--try", "exact,exact"], 64), (["--try", "exact"], 64),
      (["--sheet", "x.png"], 64),
      (["--clip-to", "2"], 64), (["--clip-sigma", "-1"], 64), (["--clip-sigma", "1", "--clip-spikes"], 64),
    ] as [([String], Int32)])
  func refusals(arguments: [String], status: Int32) throws {
    let run = try merge(arguments)
    #expect(run.status == status, "\(run.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder.file("m.safetensors")))
  }

  @Test("What was clipped is in JSON too, and no field where nothing was asked for")
  func clipped() throws {
    let run = try merge(["--clip-spikes", "--clip-to", "0.001", "--json"])
    let plain = try merge(["--json"])
    #expect(run.status == 0 && plain.json["clipped"] == nil, "\(run.errors)")
    #expect(run.json["clipped"] is [[String: Any]])
    let sigma = try merge(["--clip-sigma", "0.001", "--json"])
    let rows = try #require(sigma.json["clipped"] as? [[String: Any]])
    #expect(!rows.isEmpty)
    for row in rows {
      #expect(row["name"] is String && row["largest_after"] as? Double ?? .nan == 0.001)
      #expect(row["largest_before"] as? Double ?? .nan > 0.001)
    }
  }

  @Test("A recipe may name a method with its settings")
  func recipe() throws {
    let path = folder.file("merge.yaml")
    func run(_ lines: String) throws -> Tool.Run {
      try Data("adapters:\n  - file: \(a)\n  - file: \(b)\n    strength: 0.5\n\(lines)\n".utf8).write(
        to: URL(filePath: path))
      return try Tool.run(["merge", "--recipe", path, "-o", folder.file("m.safetensors"), "--force", "--json"])
    }
    #expect(try run("method: ties\nrank: 3\ndensity: 0.2").json["method"] as? String == "ties")
    #expect(
      try run("method: null-space\nprotect: [\(a)]\nprotect_strength: 3").json["method"] as? String == "null-space")
    for fault in [
      "density: 0.2", "method: ties\nrank: 2\ndensity: 2", "method: null-space", "method: tsv\ndrop_seed: 3",
      "method: null-space\nprotect: [x.safetensors]", "method: slerp\nprotect_strength: 1",
    ] {
      #expect(try run(fault).status == 65, "\(fault)")
    }
  }

  @Test("Several ways are made, drawn and compared with the adapters themselves")
  func trial() throws {
    let sheet = folder.file("ways.png"), output = folder.file("both-{method}.safetensors")
    let run = try Tool.run([
      "merge", "\(Toybox.adapter("lumi"))@0.8", Toybox.adapter("sketch"), "--try", "exact,slerp", "-o", output,
      "--base",
      Toybox.model, "--prompt", "a red robot on the beach", "--steps", "3", "--picture-size", "64x64", "--sheet", sheet,
      "--json",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let outputs = try #require(run.json["outputs"] as? [[String: Any]])
    let trials = outputs.compactMap { $0["trial"] as? [String: Any] }
    #expect(trials.compactMap { $0["method"] as? String } == ["exact", "slerp"])
    let errors = trials.compactMap { $0["effect_error"] as? Double }
    #expect(errors.count == 2 && errors[0] < 0.02 && errors[1] > errors[0])
    for method in ["exact", "slerp"] {
      #expect(try Adapter(path: folder.file("both-\(method).safetensors")).targets.count > 100)
    }
    #expect(try folder.bytes(of: "ways.png").prefix(4) == [0x89, 0x50, 0x4e, 0x47])
  }
}
