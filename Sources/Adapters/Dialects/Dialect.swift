package import Models

/// One spelling of adapters, in both directions: everything that is particular to it stands in its file.
package protocol Dialect: Sendable {
  // MARK: Reading

  /// Whether an adapter speaks it. Dialects are asked in the order of `AdapterFormat.reading`.
  ///
  /// - Parameters:
  ///   - modules: names of its tensors less their suffixes.
  ///   - hasConfiguration: whether a configuration of PEFT came with it.
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool

  /// A tensor's name taken apart, where it has a form that only this dialect has.
  func parsed(_ tensor: String) -> ParsedKey?

  /// What a module is.
  func key(of module: String) -> TargetKey

  // MARK: Writing

  /// Where it tells by how much the product of a target's factors is multiplied.
  var alphaRule: AlphaRule { get }

  /// Whether an adapter is a folder with a configuration, and holds one network.
  var isFolder: Bool { get }

  /// Whether it has no names but those that an adapter came with.
  var keepsNames: Bool { get }

  /// Whether its names are those of the base, so that a module of the base's layout already has the name that it gets.
  var hasBaseNames: Bool { get }

  /// Whether its targets are numbers, of which none may be missing.
  var numbersTargets: Bool { get }

  /// Whether it has names for what is added to biases and norms.
  var holdsVectors: Bool { get }

  /// Whether it has names for parameters that are in no module of their own.
  var holdsParameters: Bool { get }

  /// Whether its names say whether the denoiser is a UNet or a transformer.
  var namesNetworks: Bool { get }

  /// Whether text encoders are counted as a pipeline of diffusers counts them, rather than by what they are.
  var countsLikePipelines: Bool { get }

  /// Whether these names are so old that today's loaders find nothing under them.
  func isOutdated(_ modules: [String]) -> Bool

  /// Whose names of modules it has.
  func layout(in family: Family) -> ModuleNames.Dialect

  /// What a module is called in it.
  ///
  /// - Parameter dotted: its name in the base, where that is known with its dots.
  /// - Returns: `nil` for a module that it cannot name.
  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String?

  /// The names of a module's tensors.
  func tensorNames(of module: String) -> Target.TensorNames
}

/// Where a dialect tells by how much the product of a target's factors is multiplied.
package enum AlphaRule: Sendable {
  /// In a tensor beside the factors: α, to be divided by the rank.
  case tensor
  /// In a configuration beside the file, which also knows ranks that differ.
  case configuration
  /// Nowhere, but ranks that differ stand in the file's metadata.
  case metadata
  /// In a tensor, where there is one.
  case optionalTensor
  /// Nowhere.
  case none
}

/// What a name depends on besides the module: what the whole file is for.
package struct SpellingSetting: Sendable {
  package var family: Family
  /// Whether the denoiser is one of Stable Diffusion's UNets: one prefix holds for a whole file.
  package var isUNet: Bool
  /// Whether the only text encoder has no number.
  package var hasOneTextEncoder: Bool
  /// What stands before the denoiser's modules where dots are underscores.
  package var flatPrefix = "lora_unet_"

  package init(family: Family, isUNet: Bool, hasOneTextEncoder: Bool) {
    (self.family, self.isUNet, self.hasOneTextEncoder) = (family, isUNet, hasOneTextEncoder)
  }
}

extension Dialect {
  package func parsed(_ tensor: String) -> ParsedKey? { nil }
  package var isFolder: Bool { false }
  package var keepsNames: Bool { false }
  package var hasBaseNames: Bool { false }
  package var numbersTargets: Bool { false }
  package var holdsVectors: Bool { false }
  package var holdsParameters: Bool { false }
  package var namesNetworks: Bool { false }
  package var countsLikePipelines: Bool { false }
  package func isOutdated(_ modules: [String]) -> Bool { false }
  package func key(of module: String) -> TargetKey { DottedNames.key(of: module) }
  package func layout(in family: Family) -> ModuleNames.Dialect { .diffusers }
  package func tensorNames(of module: String) -> Target.TensorNames {
    .init(up: module + ".lora_B.weight", down: module + ".lora_A.weight")
  }

  /// The name of a tensor that is added to a bias, or to a norm's weight.
  ///
  /// - Parameters:
  ///   - label: what it was called in its target.
  ///   - own: its whole name, where it came in this dialect.
  ///   - module: as this dialect calls it, where it can.
  /// - Returns: `nil` where the dialect has no such tensors.
  package func vectorName(label: String, own: String?, module: String?, isBias: Bool) -> String? {
    // Without an alpha the scale of PEFT's biases is 1, so that their own names will do.
    guard holdsVectors else { return label == "lora_B.bias" ? own : nil }
    // As LyCORIS calls them.
    let isKept = ["diff", "diff_b", "w_norm", "b_norm"].contains(label)
    return module.map { $0 + "." + (isKept ? label : isBias ? "diff_b" : "diff") }
  }
}
