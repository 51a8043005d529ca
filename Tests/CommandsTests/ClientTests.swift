import Adapters
import Foundation
import Tensors
import TestSupport
import Testing

/// What the tool writes is what diffusers, PEFT, LyCORIS and kohya's loader make of it: their deltas were printed by
/// `Tests/Goldens/clients/make.py`, and the files made anew here have the same.
@Suite struct ClientTests {
  struct Golden: Decodable, Sendable, CustomTestStringConvertible {
    struct Target: Decodable, Sendable {
      var shape: [Int]
      var fro: Double
      var sample: [Double]
    }

    var name: String
    var arguments: [String]
    var client: String
    var targets: [String: Target]
    var testDescription: String { "\(name), as \(client) reads it" }
  }

  static let goldens: [Golden] = {
    struct Document: Decodable { var outputs: [Golden] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("clients/expected.json")).outputs
    } catch { fatalError("Tests/Goldens/clients/expected.json: \(error)") }
  }()

  @Test("the client's delta is the file's", arguments: goldens)
  func delta(_ golden: Golden) throws {
    let folder = try TemporaryFolder()
    let output = folder.file(golden.arguments.contains("gpt2_peft_rank8") ? "out" : "out.safetensors")
    var arguments = golden.arguments.map { $0 == "OUT" ? output : $0 }
    for (index, argument) in arguments.enumerated() where argument.hasPrefix("dialects/") {
      arguments[index] = Goldens.path(argument)
    }
    for (index, argument) in arguments.enumerated() where argument.hasPrefix("sd15_") || argument.hasPrefix("gpt2_") {
      guard let real = sharedAdapters else {
        print("skipped \(golden.name): the real adapters are not here")
        return
      }
      arguments[index] = real.appending(path: argument).path()
    }
    let run = try Tool.run(arguments + ["--quiet"])
    #expect(run.status == 0, "\(run.errors)")
    let adapter = try Adapter(path: output)
    let targets = Dictionary(uniqueKeysWithValues: adapter.targets.map { ($0.name, $0) })
    // Half precision may round a value the other way on another processor; everything else is single precision.
    let limit = golden.arguments.contains("f16") ? 1e-3 : 2e-6
    for (name, expected) in golden.targets {
      let target = try #require(targets[name] ?? targets["base_model.model." + name], "\(name) is missing")
      #expect(target.shape.extents == expected.shape)
      let count = expected.shape.reduce(1, *)
      let up = target.up.doubles(), down = target.down.doubles()
      for (k, value) in expected.sample.enumerated() {
        let place = (k * 7919 + 13) % count
        let ours = element(place, of: target, up, down)
        #expect(abs(ours - value) <= limit * expected.fro, "\(name)[\(place)]: \(ours), \(golden.client) \(value)")
      }
    }
  }

  /// One element of the delta, by the definition.
  private func element(_ place: Int, of target: Target, _ up: [Double], _ down: [Double]) -> Double {
    let columns = target.isTransposed ? target.rows : target.columns
    let (first, second) = (place / columns, place % columns)
    let (row, column) = target.isTransposed ? (second, first) : (first, second)
    return target.scale
      * (0..<target.rank).reduce(0) { $0 + up[row * target.rank + $1] * down[$1 * target.columns + column] }
  }
}
