import Tensors

/// The identity of a target that all dialects share: which network it is in, and its module's name with dots written
/// as underscores (kohya's names have lost the dots, so no other spelling can be common to all).
public struct TargetKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Which of the module's parameters it is.
  public enum Parameter: Int, Sendable {
    /// The weight; or what has the module's name itself, where the base has no module of that name.
    case weight
    case bias
  }

  /// The network that the module is in.
  public let component: Component
  /// The module's name in the base, with underscores for dots.
  public let path: String
  /// Weight or bias; a module may have a delta for each.
  public let parameter: Parameter

  /// `path` has underscores for dots already.
  public init(_ component: Component, _ path: String, _ parameter: Parameter = .weight) {
    (self.component, self.path, self.parameter) = (component, path, parameter)
  }

  /// By network, then path, then parameter.
  public static func < (a: TargetKey, b: TargetKey) -> Bool {
    (a.component, a.path, a.parameter.rawValue) < (b.component, b.path, b.parameter.rawValue)
  }

  /// With a dot behind the network; `.bias` is added for biases only.
  public var description: String { "\(component.rawValue).\(path)\(parameter == .bias ? ".bias" : "")" }

  /// A parameter inside the module that PEFT's `wrapper` is around.
  package init(_ wrapper: TargetKey, parameter: String) {
    var path = wrapper.path
    while path.hasSuffix("_base_layer") { path = path.dropping(suffix: "_base_layer") }
    self.init(wrapper.component, parameter == "weight" ? path : "\(path)_\(parameter)")
  }

  /// The same module's bias.
  package var bias: TargetKey { TargetKey(component, path, .bias) }

  /// What the target's weight may be called in a base, with underscores for dots.
  ///
  /// The last are those of torch's attention, which has its input projections beside a module for the output.
  package var weightNames: [String] {
    parameter == .bias
      ? [path + "_bias", path + "_in_proj_bias"] : [path + "_weight", path, path + "_in_proj_weight"]
  }

  /// The path in the names of single-file Stable Diffusion checkpoints, as SDXL has them, where it has one.
  public var ldmPath: String? {
    ModuleNames.mayBeOfUNet(path) ? ModuleNames.unet(of: .sdxl).flat(path, in: .original) : nil
  }

  /// Whether it has the name of a module of Stable Diffusion's UNets, or of one of its blocks.
  public var isOfUNet: Bool {
    component == .denoiser && ModuleNames.mayBeOfUNet(path)
      && (NameMap.stableDiffusionUNet.hasBlock(of: path) || ModuleNames.stableDiffusion.contains(flat: path))
  }

  /// The kernel of a UNet's convolution, as its name tells: what stores matrices flat has no other word of it. Empty for all
  /// other weights.
  package var usualKernel: [Int] { component == .denoiser ? ModuleNames.stableDiffusion.kernel(flat: path) : [] }

  /// What block weights call the denoiser's block that the module is in: `IN04`, `M00`, `D07`.
  package var blockLabel: String? { unetBlockLabel ?? NameMap.blockLabel(of: path, in: NameMap.withBlocks) }

  /// The same for a module of a UNet.
  package var unetBlockLabel: String? {
    ModuleNames.mayBeOfUNet(path) ? NameMap.blockLabel(of: ldmPath ?? path, in: [.stableDiffusionUNet]) : nil
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
