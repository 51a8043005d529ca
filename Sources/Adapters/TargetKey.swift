public import Checkpoints

/// The identity of a target that all dialects share: which network it is in, and its module's name with dots written
/// as underscores (kohya's names have lost the dots, so no other spelling can be common to all).
public struct TargetKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let component: Component
  public let path: String

  public init(_ component: Component, _ path: String) {
    self.component = component
    self.path = path
  }

  public static func < (a: TargetKey, b: TargetKey) -> Bool { (a.component, a.path) < (b.component, b.path) }

  public var description: String { "\(component.rawValue).\(path)" }

  /// The path in the block names of single-file Stable Diffusion checkpoints, where it has one.
  public var ldmPath: String? { UNetNames.ldmPath(ofDiffusers: path) }

  /// The kernel of a UNet's convolution, as its name tells: what stores matrices flat has no other word of it. Empty for all
  /// other weights.
  var usualKernel: [Int] {
    guard component == .denoiser else { return [] }
    let names = [
      "_conv1", "_conv2", "_conv", "conv_in", "conv_out", "_in_layers_2", "_out_layers_3", "_op", "input_blocks_0_0",
      "out_2",
    ]
    return names.contains { path.hasSuffix($0) } ? [3, 3] : []
  }

  /// The part of the network, for totals: `down_blocks.1`, `mid_block`, `double_blocks.7`, `text encoder 1`.
  public var block: String {
    switch component {
    case .textEncoder1: return "text encoder 1"
    case .textEncoder2: return "text encoder 2"
    case .textEncoder3: return "text encoder 3"
    case .denoiser, .denoiser2, .vae, .other: break
    }
    for middle in ["mid_block", "middle_block"] where path.hasPrefix(middle) { return middle }
    // Up to the first number: `down_blocks_1_attentions_…` is block down_blocks.1.
    var words: [Substring] = []
    for word in path.split(separator: "_") {
      guard Int(word) == nil else { return words.joined(separator: "_") + ".\(word)" }
      words.append(word)
    }
    return "other"
  }
}
