import Adapters
import Checkpoints

/// How a merge spells its targets.
struct OutputNaming {
  let format: AdapterFormat
  let family: Family
  /// Kohya numbers text encoders only where there are several.
  private let hasOneTextEncoder: Bool
  /// Whether the denoiser is a UNet, for its prefix in diffusers' names: one for the whole file.
  private let isUNet: Bool
  /// What stands before the denoiser's modules in kohya's names.
  var flatPrefix = "lora_unet_"

  init(format: AdapterFormat, family: Family, adapters: [Adapter]) {
    self.init(
      format: format, family: family, keys: adapters.flatMap { $0.targets.map(\.key) },
      numbersTextEncoders: family != .unknown
        || !adapters.contains { $0.targets.contains { $0.name.hasPrefix("lora_te_") } })
  }

  /// - Parameters:
  ///   - keys: of all targets.
  ///   - numbersTextEncoders: whether a text encoder has a number even where it may be the only one.
  init(format: AdapterFormat, family: Family, keys: [TargetKey], numbersTextEncoders: Bool) {
    (self.format, self.family) = (format, family)
    isUNet =
      [.sd1, .sd2, .sdxl, .sdxlRefiner].contains(family) || (family == .unknown && keys.contains { $0.isOfUNet })
    hasOneTextEncoder = family == .sd1 || family == .sd2 || !numbersTextEncoders
  }

  /// The target's name and tensor names for `key`.
  ///
  /// - Parameter target: the same target in some adapter, whose dotted name is used where the format has dots.
  /// - Returns: `nil` when the format cannot spell it.
  func names(for key: TargetKey, like target: Target) -> (module: String, tensors: Target.TensorNames)? {
    if format == .xlabs || format == .cloneofsimo {
      return (target.name, .init(up: target.names.up, down: target.names.down))
    }
    return names(for: key, dottedPath: target.dottedPath)
  }

  /// The same for a target that is in no adapter yet.
  ///
  /// - Parameter dottedPath: the module's name in the base, where it is known with dots.
  func names(for key: TargetKey, dottedPath: String?) -> (module: String, tensors: Target.TensorNames)? {
    switch format {
    case .kohya:
      guard let module = kohyaModule(key) else { return nil }
      return (
        module, .init(up: "\(module).lora_up.weight", down: "\(module).lora_down.weight", alpha: "\(module).alpha")
      )
    case .diffusers: return dotted(prefix: diffusersPrefix(key), dottedPath)
    case .peft: return dotted(prefix: "base_model.model.", dottedPath)
    case .native:
      return dotted(prefix: key.component.isTextEncoder ? diffusersPrefix(key) : "diffusion_model.", dottedPath)
    case .xlabs, .cloneofsimo: return nil
    }
  }

  private func dotted(prefix: String, _ path: String?) -> (String, Target.TensorNames)? {
    guard let path else { return nil }
    return (prefix + path, .init(up: prefix + path + ".lora_B.weight", down: prefix + path + ".lora_A.weight"))
  }

  private func diffusersPrefix(_ key: TargetKey) -> String {
    switch key.component {
    case .denoiser: isUNet ? "unet." : "transformer."
    case .denoiser2: "transformer_2."
    case .textEncoder1: "text_encoder."
    case .textEncoder2: "text_encoder_2."
    case .textEncoder3: "text_encoder_3."
    case .vae: "vae."
    case .other: ""
    }
  }

  private func kohyaModule(_ key: TargetKey) -> String? {
    // A cloneofsimo number that could not be given a name, or a part of a target's rows.
    guard !key.path.contains(":"), !key.path.hasSuffix("_qkv_rows") else { return nil }
    switch key.component {
    case .denoiser: return flatPrefix + (family == .sdxl ? key.ldmPath ?? key.path : key.path)
    case .denoiser2, .vae, .other: return nil
    case .textEncoder1: return (hasOneTextEncoder ? "lora_te_" : "lora_te1_") + textEncoderPath(key.path)
    case .textEncoder2: return "lora_te2_" + textEncoderPath(key.path)
    case .textEncoder3: return "lora_te3_" + key.path
    }
  }

  /// CLIP's layers stand below `text_model` in kohya's names.
  private func textEncoderPath(_ path: String) -> String {
    ["encoder_layers_", "embeddings_", "final_layer_norm"].contains(where: path.hasPrefix) ? "text_model_" + path : path
  }
}
