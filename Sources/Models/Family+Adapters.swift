import Tensors

/// A target as far as it tells what model it is for.
package struct FamilyClue: Sendable {
  package let key: TargetKey
  /// Columns of its delta; 0 where they are not known.
  package let inputs: Int
  /// Rows of its delta, where they are known.
  package let rows: Int?

  package init(key: TargetKey, inputs: Int, rows: Int?) { (self.key, self.inputs, self.rows) = (key, inputs, rows) }
}

extension Family {
  /// The families that an adapter's names and shapes can belong to, without its metadata: one where they tell, several
  /// where they fit several, none where they fit nothing known.
  ///
  /// - Parameter isOfDenoiser: whether the file's own prefixes say that the denoiser of a diffusion model is meant.
  package static func candidates(_ targets: [FamilyClue], isOfDenoiser: Bool = false) -> [Family] {
    let components = Set(targets.map(\.key.component))
    let denoiser = targets.filter { !$0.key.component.isTextEncoder }
    guard !denoiser.isEmpty else { return [textEncodersOnly(targets, components)].filter { $0 != .unknown } }
    if isUNet(denoiser) { return [stableDiffusion(components, denoiser)].filter { $0 != .unknown } }
    let modules = denoiser.map { clue in
      // XLabs changes only the first rows of this module.
      let whole = clue.key.ofWholeWeight
      return ChangedModule(
        path: whole.path, inputs: clue.inputs > 0 ? clue.inputs : nil, rows: whole == clue.key ? clue.rows : nil)
    }
    let found = fitting(modules)
    // XLabs' trainer knew Flux.1 only.
    if let flux = found.first(where: { $0.isRead(by: "xlabs", in: "xlabs") }),
      denoiser.contains(where: { $0.key.ofWholeWeight != $0.key })
    {
      return [flux]
    }
    if !found.isEmpty { return found }
    return !isOfDenoiser && isLanguageModel(denoiser) ? [.languageModel] : []
  }

  /// The family where names and shapes tell exactly one, and otherwise `unknown`.
  package static func detect(_ targets: [FamilyClue], isOfDenoiser: Bool = false) -> Family {
    let found = candidates(targets, isOfDenoiser: isOfDenoiser)
    return found.count == 1 ? found[0] : .unknown
  }

  /// Whether most names are those of Stable Diffusion's UNets, which other models of such blocks share only in part.
  private static func isUNet(_ denoiser: [FamilyClue]) -> Bool {
    guard denoiser.contains(where: { ModuleNames.mayBeOfUNet($0.key.path) }) else { return false }
    let names = ModuleNames.stableDiffusion
    return denoiser.contains { NameMap.stableDiffusionUNet.hasBlock(of: $0.key.path) }
      && 2 * denoiser.count { names.contains(flat: $0.key.path) } > denoiser.count
  }

  /// Whether there are names of language models, and none that only diffusion models have.
  private static func isLanguageModel(_ targets: [FamilyClue]) -> Bool {
    func has(_ words: [String]) -> Bool {
      targets.contains { target in words.contains { target.key.path.includes($0) } }
    }
    let diffusionWords = [
      "to_q", "cross_attn", "adaLN", "adaln", "t_embedder", "x_embedder", "time_embed", "mlp_linear_fc2",
      "transformer_blocks_", "text_encoders_", "noise_refiner_", "context_refiner_", "llm_adapter_",
    ]
    return !has(diffusionWords)
      && has([
        "self_attn_q_proj", "self_attn_v_proj", "attn_c_attn", "attn_c_proj", "query_key_value", "attention_self_query",
        "mlp_gate_proj", "q_lin", "v_lin",
      ])
  }

  private static func stableDiffusion(
    _ components: Set<Component>, _ denoiser: [FamilyClue]
  ) -> Family {
    if components.contains(.textEncoder2) { return .sdxl }
    let context = Set(
      denoiser.filter { $0.key.path.hasSuffix("attn2_to_k") || $0.key.path.hasSuffix("attn2_to_v") }.map(\.inputs))
    let depth =
      denoiser.compactMap { target -> Int? in
        let words = target.key.path.split(separator: "_")
        guard let place = words.firstIndex(of: "transformer"), place + 2 < words.count else { return nil }
        return Int(words[place + 2])
      }.max() ?? 0
    if depth >= 4 { return .sdxl }
    return [2048, 768, 1024, 1280].first { context.contains($0) }.flatMap { Family(context: $0) } ?? .unknown
  }

  /// Of CLIP's text encoders only: those of other kinds belong to several families.
  private static func textEncodersOnly(_ targets: [FamilyClue], _ components: Set<Component>) -> Family {
    let isCLIP = targets.allSatisfy { target in
      !["encoder_block_", "layers_", "model_", "language_model_"].contains(where: target.key.path.hasPrefix)
    }
    guard isCLIP, !components.contains(.textEncoder3) else { return .unknown }
    if components.contains(.textEncoder2) { return .sdxl }
    let widths = Set(targets.map(\.inputs))
    return widths.contains(768) ? .sd1 : widths.contains(1024) ? .sd2 : .unknown
  }

  /// Whether metadata may say the family where names and shapes tell none: a Stable Diffusion UNet without a target that
  /// shows the width of the text, or text encoders alone.
  package static func canClaim(_ family: Family, of targets: [FamilyClue]) -> Bool {
    let denoiser = targets.filter { !$0.key.component.isTextEncoder }
    guard candidates(targets).isEmpty else { return false }
    return denoiser.isEmpty
      || family.hasUNet
        && denoiser.allSatisfy { ModuleNames.stableDiffusion.contains(flat: $0.key.path) }
  }

  /// The family that training metadata claims, for a note when the shapes disagree.
  package static func claimed(by metadata: [String: String]) -> Family? {
    let text = (metadata["modelspec.architecture"] ?? metadata["ss_base_model_version"] ?? "").lowercased()
    let claims = all.flatMap { family in family.facts.words("claim").map { (word: $0, family: family) } }
    // The longest says most: `flux` is in `flux2` too.
    return claims.filter { text.contains($0.word) }.max { $0.word.count < $1.word.count }?.family
  }
}
