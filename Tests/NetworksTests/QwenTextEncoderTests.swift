import Checkpoints
import Foundation
import Kernels
import Models
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct QwenTextEncoderTests {
  private let folder = Goldens.path("diffusion/zimage-pipeline")

  @Test("agrees with transformers, layer by layer", arguments: TestedBackend.allCases)
  func agrees(_ kind: TestedBackend) throws {
    let golden = try NetworkGolden("qwen3-tiny"), checkpoint = try Checkpoint(path: folder)
    try KernelThread.run {
      let configuration = try QwenConfiguration(of: checkpoint)
      #expect(configuration.keyHeads == 2 && configuration.heads == 6 && configuration.theta == 1e6)
      let encoder = try QwenTextEncoder(
        configuration, weights: checkpoint, .textEncoder1, backend: kind.make())
      // All together, and of different lengths and depths.
      let texts = try golden.cases.map { test in
        QwenTextEncoder.Text(
          ids: try golden.input("\(test)/ids").doubles().map { Int32($0) }, layers: test == "one" ? 2 : 3)
      }
      var seen = 0
      let features = try encoder.features(of: texts) { text, layers, state in
        guard let expected = golden.outputs["\(golden.cases[text])/hidden.\(layers)"]?.floats() else { return }
        seen += 1
        let size = expected.reduce(1) { max($0, abs($1)) }
        let difference = largestDifference(state.values, expected)
        #expect(difference <= 1e-5 * size, "\(golden.cases[text]), layer \(layers): \(difference) of \(size)")
      }
      #expect(seen == 11 && features.map(\.pixels) == [33, 1, 150])
    }
  }

  @Test("a tap sees the layers that run, and changes them")
  func tap() throws {
    let checkpoint = try Checkpoint(path: folder)
    final class Tap: LayerTap {
      var names: Set<String> = []
      var changed: (WeightName, Tensor)?
      func willCompute(_ weights: [WeightName], on inputs: LayerInputs) { names.formUnion(weights.map(\.path)) }
      func change(of weight: WeightName) -> Tensor? { changed?.0 == weight ? changed?.1 : nil }
    }
    try KernelThread.run {
      let tap = Tap()
      let encoder = try QwenTextEncoder(
        QwenConfiguration(of: checkpoint), weights: checkpoint, .textEncoder1, backend: TestedBackend.native.make(),
        tap: tap)
      let text = QwenTextEncoder.Text(ids: [1, 2, 3], layers: 3)
      let before = try encoder.features(of: [text])[0].values
      #expect(tap.names.contains("model.layers.2.mlp.down_proj.weight") && tap.names.count == 21)
      #expect(!tap.names.contains { $0.hasPrefix("model.layers.3") })
      let name = WeightName(.textEncoder1, "model.layers.1.self_attn.k_proj.weight")
      tap.changed = (name, Tensor([Double](repeating: 0.1, count: 32 * 40), shape: Shape([32, 40]), dtype: .f32))
      #expect(try encoder.features(of: [text])[0].values != before)
    }
  }

  @Test("text encoders of other kinds are refused")
  func refusals() throws {
    let temporary = try TemporaryFolder(), model = temporary.file("model")
    for (old, new, message) in [
      ("\"model_type\": \"qwen3\"", "\"model_type\": \"llama\"", "model_type: expected qwen3, found \"llama\""),
      ("\"attention_bias\": false", "\"attention_bias\": true", "attention_bias: expected false, found true"),
      ("\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", "rope_type: expected default, found \"yarn\""),
      (
        "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4",
        "num_key_value_heads: expected a number that divides 6 evenly, found 4"
      ),
    ] {
      try? FileManager.default.removeItem(atPath: model)
      try FileManager.default.copyItem(atPath: folder, toPath: model)
      let file = "\(model)/text_encoder/config.json", text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.contains(old))
      try text.replacingOccurrences(of: old, with: new).write(toFile: file, atomically: true, encoding: .utf8)
      let error = try #require(throws: NetworkError.self) { try QwenConfiguration(of: Checkpoint(path: model)) }
      #expect(error.description == "\(file): \(message)")
    }
  }
}
