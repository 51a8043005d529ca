import Models

/// The base checkpoint's own names, with or without `diffusion_model.` before them: ComfyUI, diffusion-pipe, fal.
struct NativeDialect: Dialect {
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    modules.contains { $0.hasPrefix("diffusion_model.") || $0.hasPrefix("text_encoders.") }
  }

  var alphaRule: AlphaRule { .optionalTensor }
  var hasBaseNames: Bool { true }
  var holdsVectors: Bool { true }
  var holdsParameters: Bool { true }
  func layout(in family: Family) -> ModuleNames.Dialect { .original }

  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? {
    let prefix =
      key.component.isTextEncoder
      ? DiffusersDialect.prefix(of: key.component, isUNet: setting.isUNet) : "diffusion_model."
    return dotted.map { prefix + $0 }
  }
}
