import ArgumentParser
import Files
import Images
import Kernels
import Prompts
import Rendering
import Sheets

/// What must not fail late, and what is told before it begins.
extension Render {
  func checkTexts(_ texts: [String]) throws {
    for text in texts + [prompts.negative ?? ""] { _ = try prompts.promptStyle.parts(of: text) }
    guard try PromptTags(of: prompts.negative ?? "", style: prompts.promptStyle).tags.isEmpty else {
      throw ValidationError("--negative: expected no tags, found some; hint: adapters belong to the prompt")
    }
  }

  func checkAutoencoder(_ model: PictureModel, _ other: AutoencoderSource?) throws {
    guard model.autoencoder != nil || other != nil && (sampling.start == nil || other?.checkpoint != nil) else {
      throw RenderingError(.noAutoencoder(isApart: false), file: base)
    }
    let latents = try other?.latents(), expected = model.latents
    let preview = sheets.preview.map { _ in
      LatentFormat(channels: LatentPreview.channels, reduction: LatentPreview.reduction)
    }
    for (path, found) in [
      (base, other == nil ? model.autoencoder : nil), (sampling.vae ?? base, latents),
      (sheets.preview ?? base, preview),
    ] {
      guard let found, found.channels != expected.channels else { continue }
      throw RenderError(
        .latentChannels(expected: expected.channels, denoiser: model.denoiserName, found: found.channels), path: path)
    }
    var reductions: [(path: String, found: Int)] = []
    if let path = sampling.vae, let latents { reductions.append((path, latents.reduction)) }
    if let path = sheets.preview { reductions.append((path, LatentPreview.reduction)) }
    for (path, found) in reductions where found != expected.reduction {
      throw RenderError(.reduction(expected: expected.reduction, found: found), path: path)
    }
  }

  func checkSheet(_ plan: SheetPlan, _ size: MapSize, caption: String) throws {
    do {
      _ = try plan.sheetSize(size, caption: caption)
    } catch let error {
      guard case .tooManyPixels(let width, let height) = error.kind else { throw error }
      throw ValidationError(
        "\(plan.pictures.count) pictures: expected a sheet of at most \(RGBImage.maximumPixels) pixels, found "
          + "\(width)x\(height); hint: a smaller --size, or fewer prompts")
    }
  }

  func checkOutputs(_ plan: SheetPlan, preview: String?, _ size: MapSize) throws {
    for path in plan.outputs + (preview.map { [$0] } ?? []) {
      try TemporaryFile.checkDestination(path, overwriting: force)
    }
    // A picture of a model compresses to about half of its pixels' bytes.
    try DiskSpace.require(plan.outputs.count * 3 * size.width * size.height / 2, for: plan.outputs[0])
  }

  func modelWarnings(_ model: PictureModel) -> [String] {
    // The only thing that is ever assumed is what the denoiser predicts.
    sampling.prediction == nil ? model.assumptions.map { "\(model.path): \($0) (\($0.otherwise))" } : []
  }

  func truncations(_ model: PictureModel, _ texts: [String]) -> [String] {
    unweighed(model, texts) + cuts(model, texts)
  }

  /// Of prompts whose weights a model does not know.
  private func unweighed(_ model: PictureModel, _ texts: [String]) -> [String] {
    guard !model.weighsPrompts else { return [] }
    return (texts + [prompts.negative ?? ""]).compactMap { text in
      guard let parts = try? prompts.promptStyle.parts(of: text), !parts.isEmpty, parts != [.text(text, weight: 1)]
      else { return nil }
      return "prompt: \"\(text.prefix(40))\" has weights or breaks, which this model reads as text; hint: "
        + "--prompt-style plain for brackets that are meant as text"
    }
  }

  private func cuts(_ model: PictureModel, _ texts: [String]) -> [String] {
    guard prompts.promptStyle == .plain else { return [] }
    return (texts + [prompts.negative ?? ""]).compactMap { text in
      guard let count = try? model.truncatedTokens(of: text, style: .plain), count > 0 else { return nil }
      return "prompt: the last \(count) tokens of \"\(text.prefix(40))…\" do not fit and are cut off; hint: "
        + "--prompt-style a1111 takes prompts of any length"
    }
  }
}
