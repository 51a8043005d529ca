import Models
import Tensors

/// The modules behind cloneofsimo's numbers.
///
/// The 2022 trainer numbered targets in the order in which diffusers registered the UNet's modules: down blocks, up
/// blocks, middle block; in each transformer block the first attention's four projections, then the second's, with the
/// feed-forward's first projection between or behind them, depending on the version. The shapes tell which.
enum CloneofsimoOrder {
  /// The diffusers paths of numbers 0, 1, …, flattened; `nil` for a count that is neither that of attention targets
  /// only (128) nor that with the feed-forward (144).
  static func unetPaths(rowsAndInputs shapes: [(rows: Int, inputs: Int)]) -> [String]? {
    let perBlock: Int
    switch shapes.count {
    case 128: perBlock = 8
    case 144: perBlock = 9
    default: return nil
    }
    var paths: [String] = []
    for (index, block) in blocks.enumerated() {
      func modules(_ word: String) -> [String] { block.modules.filter { $0.includes(word) } }
      let first = modules("_attn1_to_"), second = modules("_attn2_to_"), feedForward = modules("_ff_net_0_proj")
      let start = index * perBlock
      // The gated projection of the feed-forward is the only one with eight times as many rows as inputs.
      let isOld =
        perBlock == 9 && shapes[start + 4].rows.quotientAndRemainder(dividingBy: 8) == (shapes[start + 4].inputs, 0)
      paths += perBlock == 8 ? first + second : isOld ? first + feedForward + second : first + second + feedForward
    }
    return paths
  }

  /// The network whose factors a list holds, which says no names: those of CLIP's text encoders have as many targets as
  /// their layers have projections, all of one width.
  static func network(ofList shapes: [Shape], path: String) -> String {
    let encoders = [48: 768, 92: 1024, 96: 1024]
    let isSquare =
      encoders[shapes.count / 2].map { width in
        shapes.enumerated().allSatisfy { $1.rank == 2 && $1[$0 % 2] == width }
      } ?? false
    return isSquare || path.contains(".text_encoder.") ? "text_encoder" : "unet"
  }

  /// The flattened path of a text encoder's target: four projections a layer, in the order in which transformers' CLIP
  /// attention registers them.
  ///
  /// - Precondition: the number is not negative.
  static func textEncoderPath(_ number: Int) -> String {
    "encoder_layers_\(number / 4)_self_attn_\(["k_proj", "v_proj", "q_proj", "out_proj"][number % 4])"
  }

  /// The middle block was registered last.
  private static let blocks: [Family.AttentionBlock] = {
    let all = Family.sd1.attentionBlocks
    return all.filter { $0.label != "M00" } + all.filter { $0.label == "M00" }
  }()
}
