import Models

/// The base checkpoint's own names, with or without `diffusion_model.` before them: ComfyUI, diffusion-pipe, fal.
struct NativeDialect: Dialect {
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    modules.contains { module in
      ["diffusion_model.", "text_encoders.", "conditional_transformer."].contains(where: module.hasPrefix)
    }
  }

  var alphaRule: AlphaRule { .optionalTensor }
  var hasBaseNames: Bool { true }
  var holdsVectors: Bool { true }
  var holdsParameters: Bool { true }
  func layout(in family: Family) -> ModuleNames.Dialect { .original }

  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? {
    guard let dotted, !setting.family.standsAlone(dotted) else { return dotted }
    guard key.component.isTextEncoder else { return "diffusion_model." + dotted }
    if let encoder = setting.family.languageModelEncoder, dotted.hasPrefix("layers.") {
      return "text_encoders.\(encoder).transformer.model." + dotted
    }
    return DiffusersDialect.prefix(of: key.component, isUNet: setting.isUNet) + dotted
  }
}
