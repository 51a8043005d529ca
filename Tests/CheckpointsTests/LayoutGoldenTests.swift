import Models
import Tensors
import TestSupport
import Testing

@testable import Checkpoints

/// Names of weights in both layouts of a model. The single files are inversions of diffusers' own converters; see
/// `Tests/Goldens/bake/make.py`.
@Suite struct LayoutGoldenTests {
  @Test("every weight has its name in diffusers' dialect, whatever the layout", arguments: BakeGolden.all.models.keys)
  func names(_ model: String) throws {
    let golden = BakeGolden.all
    for layout in BakeLayout.allCases {
      let folder = try TemporaryFolder()
      guard let path = try golden.writeBase(model, dtype: .f32, as: layout, in: folder) else { continue }
      let checkpoint = try Checkpoint(path: path)
      for network in golden.models[model]!.networks {
        for (index, weight) in network.weights.enumerated() {
          let isStored = layout != .original || network.original!.contains { $0.parts.contains(index) }
          guard isStored else { continue }
          let name = WeightName(Self.component(network.folder, in: model, layout), weight.name)
          guard network.folder != "" || layout != .original else { continue }
          let values = try checkpoint.weight(named: name, shape: Shape(weight.shape)).doubles()
          let isRight = values == golden.values(of: weight, in: network, model: model, dtype: .f32)
          #expect(isRight, "\(layout.rawValue): \(name)")
        }
      }
    }
  }

  private static func component(_ folder: String, in model: String, _ layout: BakeLayout) -> Component {
    switch folder {
    case "text_encoder": .textEncoder1
    // Single files call T5 by its name, which is that of a third encoder.
    case "text_encoder_2": model == "flux" && layout == .original ? .textEncoder3 : .textEncoder2
    case "text_encoder_3": .textEncoder3
    default: .denoiser
    }
  }
}
