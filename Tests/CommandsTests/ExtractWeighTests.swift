import Adapters
import Checkpoints
import Foundation
import Models
import TestSupport
import Testing

/// What an error counts in an extraction, on the command line.
@Suite struct ExtractWeighTests {
  private let folder: TemporaryFolder
  private let base = Goldens.path("extract/base.safetensors"), tuned = Goldens.path("extract/tuned.safetensors")

  init() throws { folder = try TemporaryFolder() }

  private func extract(_ name: String, _ arguments: [String]) throws -> (json: [String: Any], adapter: Adapter) {
    let output = folder.file("\(name).safetensors")
    let run = try Tool.run(["extract", base, tuned, "-o", output, "--json"] + arguments)
    guard run.status == 0 else { throw Toybox.Failure(errors: run.errors) }
    return (run.json, try Adapter(path: output))
  }

  @Test("The error is that of the checkpoints' difference, what was never looked at included", arguments: ["base"])
  func error(weighing: String) throws {
    let (json, adapter) = try extract("weighed", ["--size", "6kB", "--weigh", weighing, "--max-rank", "4"])
    let (old, new) = (try Checkpoint(path: base), try Checkpoint(path: tuned))
    var lost = 0.0, total = 0.0
    for (index, weight) in old.weights.enumerated() {
      let change = zip(new.tensor(new.weights[index]).doubles(), old.tensor(weight).doubles()).map { $0 - $1 }
      let target = adapter.targets.first {
        old.weight(for: $0.key)?.weight.pieces.first?.stored == index
      }
      total += inner(change, change)
      // Biases are kept whole.
      guard weight.entry.shape.extents.count > 1 else { continue }
      let difference = target.map { zip($0.dense, change).map { $0 - $1 } } ?? change
      lost += inner(difference, difference)
    }
    let error = try #require(json["relative_error"] as? Double)
    #expect(abs(error - (lost / total).squareRoot()) <= 2e-3, "\(error) against \((lost / total).squareRoot())")
    #expect(json["weigh"] as? String == weighing)
    let weighted = try #require(json["weighted_relative_error"] as? Double)
    #expect(try #require(json["weighted_lower_bound"] as? Double) <= weighted)
    #expect((json["bytes"] as? Int ?? .max) <= 6000)
  }

  @Test("The file tells of the two checkpoints, and keeps what is held in full as it does without")
  func whole() throws {
    let plain = try extract("plain", ["--rank", "2"]),
      weighed = try extract("weighed", ["--rank", "2", "--weigh", "base"])
    let recipe = try #require(weighed.adapter[metadata: "lathe.recipe"])
    for part in ["\"operation\":\"extract\"", "\"weigh\":\"base\"", "\"base\":{", "\"tuned\":{"] {
      #expect(recipe.contains(part), "\(part)")
    }
    #expect(!recipe.contains("\"inputs\""))
    // Of a rank for all, errors compete nowhere: it is the same adapter.
    #expect(plain.adapter.targets.map(\.name) == weighed.adapter.targets.map(\.name))
    for (a, b) in zip(plain.adapter.targets, weighed.adapter.targets) {
      #expect(relativeDifference(a.dense, b.dense) <= 2e-3, "\(a.name)")
      #expect(a.dtype == b.dtype, "\(a.name)")
    }
  }

  @Test(
    "What does not go with it is refused",
    arguments: [
      ["--auto", "--weigh", "base"], ["--energy", "0.9", "--weigh", "base"], ["--rank", "2", "--weigh", "per-target"],
      ["--rank", "2", "--weigh", "pictures"], ["--rank", "2", "--prompt", "a cat"],
      ["--rank", "2", "--sensitivity", "x.json"],
    ])
  func refusals(arguments: [String]) throws {
    let output = folder.file("none.safetensors")
    #expect(try Tool.run(["extract", base, tuned, "-o", output] + arguments).status == 64)
    #expect(!FileManager.default.fileExists(atPath: output))
  }
}
