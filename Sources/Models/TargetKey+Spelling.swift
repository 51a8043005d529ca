import Tensors

extension TargetKey {
  /// The identity of a module whose name may be one of several spellings: Stable Diffusion's blocks by either name, and text
  /// encoders with or without a level that newer transformers dropped.
  package init(spelledAnyhow path: String, in component: Component) {
    guard component.isTextEncoder else {
      let own = ModuleNames.mayBeOfUNet(path) ? ModuleNames.stableDiffusion.flat(path, in: .diffusers) : nil
      self.init(component, own ?? path)
      return
    }
    self.init(component, Self.belowLevels(path))
  }

  /// The path of a text encoder's module without the levels that some versions of its library have above it, and others not.
  package static func belowLevels(_ path: String) -> String {
    if path.hasPrefix("text_model_") { return path.dropping(prefix: "text_model_") }
    var inner = path
    while let level = ["model_", "language_model_"].first(where: inner.hasPrefix) {
      inner = inner.dropping(prefix: level)
    }
    return ["layers_", "embed_tokens"].contains(where: inner.hasPrefix) || inner == "norm" ? inner : path
  }

  /// The end of paths that mean only the first rows of a weight, as XLabs' adapters change them.
  package static let firstRowsEnding = "_qkv_rows"

  /// The key of the whole weight, where this is one of its first rows alone.
  package var ofWholeWeight: TargetKey {
    path.hasSuffix(Self.firstRowsEnding)
      ? TargetKey(component, path.dropping(suffix: Self.firstRowsEnding), parameter) : self
  }

  /// The path of a text encoder's module as files have it: CLIP's layers stand below `text_model` there.
  ///
  /// - Parameter separator: what stands between the levels of the path.
  package static func belowTextModel(_ path: String, separator: String = "_") -> String {
    let beginnings = ["encoder\(separator)layers\(separator)", "embeddings\(separator)", "final_layer_norm"]
    return beginnings.contains(where: path.hasPrefix) ? "text_model\(separator)\(path)" : path
  }
}
