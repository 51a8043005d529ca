import Foundation
import TestSupport
import Testing

/// Averages of a training's snapshots, on the command line.
@Suite struct EMATests {
  let folder: TemporaryFolder
  let snapshots: [String]

  init() throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    snapshots = try (1...7).map { index in
      let path = folder.file("run-00000\(index).safetensors")
      var pico = Pico(seed: UInt64(index))
      pico.add("lora_unet_mid_block_attentions_0_proj_in", rows: 8, inputs: 6, rank: 2, alpha: 2)
      try pico.write(to: path)
      return path
    }
  }

  private func strengths(_ arguments: [String]) throws -> [Double] {
    let run = try Tool.run(["merge", "-o", folder.file("out.safetensors"), "--force", "--json"] + arguments)
    guard run.status == 0 else { throw Toybox.Failure(errors: run.errors) }
    return (run.json["adapters"] as? [[String: Any]] ?? []).map { $0["strength"] as? Double ?? .nan }
  }

  @Test("Strengths are the profile's shares, whatever the order of the files, and the sum is written exactly")
  func average() throws {
    let found = try strengths(["--ema", "0.2"] + snapshots)
    #expect(abs(found.reduce(0, +) - 1) <= 1e-12)
    #expect(found.dropLast() == found.dropLast().sorted()[...])
    #expect(try strengths(["--ema", "0.2"] + snapshots.reversed()) == found.reversed())
    #expect(try strengths(["--ema", "0.2"] + snapshots.enumerated().map { "\($1)@step=\(100 * ($0 + 1))" }) == found)
    let metadata = try Tool.run(["metadata", "get", folder.file("out.safetensors"), "lathe.recipe"]).output
    #expect(metadata.contains("\"ema\":0.2"))
  }

  @Test("What cannot be averaged is said in one line")
  func refusals() throws {
    for (arguments, line) in [
      (["--ema", "0.5"] + snapshots, "--ema: expected a width of 0.02 to 0.28, found 0.5"),
      (["--ema", "0.1", snapshots[0] + "@0.5", snapshots[1]], "--ema: expected snapshots without strengths"),
      (
        ["--ema", "0.1", snapshots[0] + "@step=5", snapshots[1]], "--ema: expected @step= behind all snapshots or none"
      ),
      (["--ema", "0.1", snapshots[0] + "@step=5", snapshots[1] + "@step=5"], "--ema: expected a step of its own"),
      ([snapshots[0] + "@step=5", snapshots[1]], "expected --ema beside it"),
    ] {
      let run = try Tool.run(["merge", "-o", folder.file("x.safetensors")] + arguments)
      #expect(run.status == 64 && run.errors.contains(line), "\(arguments): \(run.errors)")
    }
    let few = try Tool.run(["merge", "--ema", "0.1", snapshots[0], snapshots[1], "-o", folder.file("few.safetensors")])
    #expect(few.status == 0 && few.errors.contains("with fewer than six it says little"))
  }
}
