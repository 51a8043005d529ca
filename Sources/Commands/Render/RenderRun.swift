import Adapters
import Checkpoints
import Factoring
import Files
import Foundation
import Images
import Kernels
import Rendering
import Reports

/// Renders and writes the pictures of a plan.
struct RenderRun {
  let plan: RenderPlan
  let adapters: RenderAdapters
  let model: PictureModel
  let autoencoder: AutoencoderSource
  /// Of all pictures; prompt and seed are each one's own.
  let request: RenderRequest
  let precision: Precision
  let overwrites: Bool
  let preview: (picture: LatentPreview, path: String, every: Int)?
  /// What every picture's text says besides prompt, seed and adapters.
  let parameters: RenderParameters
  let common: CommonOptions

  /// - Throws: what the engine throws, `ImageError`, and `FileError` for files that cannot be written.
  func run() throws -> RenderReport.Cost {
    let start = ContinuousClock.now, groups = plan.groups
    let steps = try parameters.stepsTaken * groups.reduce(0) { $0 + $1.places.count }
    let progress = RenderProgress(total: steps, denoiser: model.denoiserName, isQuiet: common.quiet)
    defer { progress.finish() }
    let unfinished = preview.map { UnfinishedPicture(path: $0.path, overwriting: overwrites) }
    defer { unfinished?.remove() }
    var images = [RGBImage?](repeating: nil, count: plan.pictures.count)
    var times: [(seconds: Double, steps: Int)] = [], peak = 0
    // Strengths of adapters that do not touch the text encoders leave what the prompts say as it is.
    var texts: [(uses: [AdapterUse], texts: SharedTexts)] = []
    for group in groups {
      let requests = group.places.map { places in
        var request = request
        request.prompt = plan.pictures[places[0]].prompt.text
        request.seed = plan.pictures[places[0]].seed
        return request
      }
      let uses = adapters.textUses(group.uses)
      let place = texts.firstIndex { $0.uses == uses } ?? texts.count
      if place == texts.count { texts.append((uses, SharedTexts())) }
      let renderer = renderer(group, texts[place].texts)
      let result = try renderer.render(requests, progress: { progress.update($0) }) { _, step, latents in
        guard let preview, let unfinished, (step + 1) % preview.every == 0 else { return }
        try unfinished.show(try preview.picture.picture(of: latents, size: request.size))
      }
      for (places, image) in zip(group.places, result.images) {
        for place in places {
          images[place] = image
          if let path = plan.pictures[place].path {
            try write(image, to: path, parameters.text(of: plan.pictures[place]))
          }
        }
      }
      times.append((result.secondsPerStep, requests.count))
      peak = max(peak, result.peakPoolBytes)
    }
    if let sheet = plan.sheet {
      let drawn = try plan.contactSheet(images.map { $0! }, caption: parameters.caption(of: plan)).drawn()
      try write(drawn, to: sheet, parameters.text(ofSheet: plan))
    }
    let count = times.reduce(0) { $0 + $1.steps }
    return RenderReport.Cost(
      secondsPerStep: times.reduce(0) { $0 + $1.seconds * Double($1.steps) } / Double(count),
      seconds: (ContinuousClock.now - start) / .seconds(1), peakMemory: peak)
  }

  private func renderer(_ group: RenderPlan.Group, _ texts: SharedTexts) -> Renderer {
    func make(_ weights: some WeightSource) -> Renderer {
      Renderer(
        model, weights: weights, autoencoder: autoencoder, texts: texts, precision: precision, threads: common.threads)
    }
    return make(adapters.weights(group.uses))
  }

  private func write(_ image: RGBImage, to path: String, _ text: String) throws {
    try pictureFile(image, texts: [.parameters(text)], for: path, overwriting: overwrites).commit()
  }
}

/// A PNG file that does not have its name yet.
private func pictureFile(
  _ image: RGBImage, texts: [PNGText], for path: String, overwriting: Bool
) throws -> TemporaryFile {
  let bytes = try image.pngData(texts: texts)
  let file = try TemporaryFile(for: path, overwriting: overwriting)
  try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  return file
}

/// The picture that shows how far the work is, and goes away with it.
private final class UnfinishedPicture {
  private let path: String
  private let overwrites: Bool
  /// Once it is there: before that another's file may have the name.
  private var registration: Interruption.Token?

  init(path: String, overwriting: Bool) { (self.path, overwrites) = (path, overwriting) }

  func show(_ image: RGBImage) throws {
    let earlier = registration
    registration = try pictureFile(image, texts: [], for: path, overwriting: overwrites || earlier != nil)
      .commitUnfinished()
    if let earlier { Interruption.forget(earlier) }
  }

  func remove() {
    guard let registration else { return }
    Interruption.uninterrupted {
      unlink(path)
      Interruption.forget(registration)
    }
    self.registration = nil
  }
}
