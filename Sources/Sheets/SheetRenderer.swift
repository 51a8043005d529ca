import Checkpoints
import Files
public import Images
public import Rendering

/// Renders and writes the pictures of a plan, and the sheet.
///
/// ```swift
/// let adapters = try SheetAdapters(base: "sd15.safetensors", inputs: [AdapterInput(path: "style.safetensors")])
/// let model = try PictureModel(adapters.base), request = RenderRequest(prompt: "", size: MapSize(height: 384, width: 384))
/// let plan = try SheetPlan(
///   prompts: [SheetPlan.Prompt("a cat")], seeds: [1], given: adapters.given, columns: .sweep([0, 0.5, 1]), output: "cat.png")
/// let texts = try SheetTexts(request, model: model, adapters: adapters, precision: .f32)
/// let result = try SheetRenderer(plan, adapters: adapters, model: model, texts: texts, threads: 4).run()
/// ```
public struct SheetRenderer {
  /// What shows unfinished pictures, where, and after each so many steps.
  public struct Preview {
    /// What makes pictures of unfinished latents.
    public let decoder: LatentPreview
    /// Of the PNG file that is written again and again, and removed in the end.
    public let path: String
    /// In steps, 1 or more.
    public let interval: Int

    /// - Parameters:
    ///   - path: of a PNG file that is there only while pictures are made.
    ///   - interval: in steps; must be larger than 0.
    public init(decoder: LatentPreview, path: String, interval: Int) {
      precondition(interval > 0, "a preview after each so many steps")
      (self.decoder, self.path, self.interval) = (decoder, path, interval)
    }
  }

  /// What came of it.
  public struct Result {
    /// In the order of the plan.
    public var pictures: [RGBImage] = []
    /// `nil` for a single picture.
    public var sheet: RGBImage?
    /// The mean over all pictures, without each run's first step, which also prepares the kernels.
    public var secondsPerStep = 0.0
    /// Of the whole run, reading weights and writing files included.
    public var seconds = 0.0
    /// Bytes of the engine's pool.
    public var peakMemory = 0
  }

  private let plan: SheetPlan
  private let adapters: SheetAdapters
  private let model: PictureModel
  private let autoencoder: AutoencoderSource
  private let texts: SheetTexts
  private let threads: Int
  private let overwrites: Bool
  private let preview: Preview?

  /// - Parameters:
  ///   - texts: what every picture's text says besides prompt, seed and adapters; its request and precision are those of all
  ///     pictures.
  ///   - overwriting: whether files that exist are replaced.
  public init(
    _ plan: SheetPlan, adapters: SheetAdapters, model: PictureModel, autoencoder: AutoencoderSource = .own,
    texts: SheetTexts, threads: Int, overwriting: Bool = false, preview: Preview? = nil
  ) {
    (self.plan, self.adapters, self.model, self.autoencoder) = (plan, adapters, model, autoencoder)
    (self.texts, self.threads, overwrites, self.preview) = (texts, threads, overwriting, preview)
  }

  /// Steps of all pictures.
  ///
  /// - Throws: `SamplingError` for a request whose numbers do not go together.
  public var stepCount: Int {
    get throws { try texts.stepsTaken * plan.groups.reduce(0) { $0 + $1.places.count } }
  }

  /// - Throws: what the engine and `progress` throw, `ImageError`, and `FileError` for files that cannot be written.
  public func run(progress: (Renderer.Progress) throws -> Void = { _ in }) throws -> Result {
    let start = ContinuousClock.now, groups = plan.groups
    let unfinished = preview.map { UnfinishedPicture(path: $0.path, overwriting: overwrites) }
    defer { unfinished?.remove() }
    var images = [RGBImage?](repeating: nil, count: plan.pictures.count), result = Result()
    var times: [(seconds: Double, steps: Int)] = []
    // Strengths of adapters that do not touch the text encoders leave what the prompts say as it is.
    var read: [(uses: [AdapterUse], texts: SharedTexts)] = []
    for group in groups {
      let requests = group.places.map { places in
        var request = texts.request
        request.prompt = plan.pictures[places[0]].prompt.text
        request.seed = plan.pictures[places[0]].seed
        return request
      }
      let uses = adapters.textUses(group.uses)
      let place = read.firstIndex { $0.uses == uses } ?? read.count
      if place == read.count { read.append((uses, SharedTexts())) }
      let rendered = try renderer(group, read[place].texts).render(requests, progress: progress) { _, step, latents in
        guard let preview, let unfinished, (step + 1) % preview.interval == 0 else { return }
        try unfinished.show(try preview.decoder.picture(of: latents, size: texts.request.size))
      }
      for (places, image) in zip(group.places, rendered.images) {
        for place in places {
          images[place] = image
          if let path = plan.pictures[place].path {
            try write(image, to: path, texts.text(of: plan.pictures[place]))
          }
        }
      }
      times.append((rendered.secondsPerStep, requests.count))
      result.peakMemory = max(result.peakMemory, rendered.peakPoolBytes)
    }
    result.pictures = images.map { $0! }
    if let path = plan.sheet {
      let drawn = try plan.contactSheet(result.pictures, caption: texts.caption(of: plan)).drawn()
      try write(drawn, to: path, texts.text(ofSheet: plan))
      result.sheet = drawn
    }
    let count = times.reduce(0) { $0 + $1.steps }
    result.secondsPerStep = times.reduce(0) { $0 + $1.seconds * Double($1.steps) } / Double(count)
    result.seconds = (ContinuousClock.now - start) / .seconds(1)
    return result
  }

  private func renderer(_ group: SheetPlan.Group, _ read: SharedTexts) -> Renderer {
    func make(_ weights: some WeightSource) -> Renderer {
      Renderer(
        model, weights: weights, autoencoder: autoencoder, texts: read, precision: texts.precision, threads: threads)
    }
    return make(adapters.weights(group.uses))
  }

  private func write(_ image: RGBImage, to path: String, _ text: String) throws {
    try TemporaryFile.picture(image, texts: [.parameters(text)], for: path, overwriting: overwrites).commit()
  }
}
