import Checkpoints
import Images
import Kernels
import Models
import Networks
import Prompts
import Sampling
import Synchronization
import Tensors
import TestSupport
import Testing

@testable import Rendering

/// A kind of model that is no Stable Diffusion: latents of 16 channels, taken in twos, and guidance that is told.
///
/// Its denoiser predicts half of what it sees.
private struct Packed: ModelArchitecture {
  /// What was asked of it.
  final class Record: Sendable {
    struct Preparation { let conditions: [DenoiserCondition], steps: [[Float]] }
    let preparations = Mutex<[Preparation]>([])
    let requests = Mutex<[TextRequest]>([])
    /// Samples, height, width and channels of the latents of each step.
    let latents = Mutex<[[Int]]>([])
  }

  let record = Record()
  let autoencoder: AutoencoderConfiguration?
  let denoiserName = "transformer"
  let scheduler = SchedulerSettings.stableDiffusion1
  let assumptions: [PictureModel.Assumption] = []
  let isGuidanceDistilled = true
  let usualGuidance = 3.5
  let textLayers = 12

  init() throws {
    var configuration = try AutoencoderConfiguration(of: Checkpoint(path: Goldens.path("diffusion/sd1-pipeline")))
    configuration.latentChannels = 16
    autoencoder = configuration
  }

  var latents: LatentFormat {
    LatentFormat(
      channels: 16, reduction: autoencoder!.reduction, packing: 2, scaling: LatentFormat.Scaling(autoencoder!))
  }

  func usualSize(_ scheduler: SchedulerSettings) -> Int { 64 }
  func truncatedTokens(of text: String, style: PromptStyle) -> Int { 0 }
  func hasDenoiser(like other: any ModelArchitecture) -> Bool { other is Self }
  func textMemory(_ checkpoint: Checkpoint) -> Int { 1 << 20 }

  func denoiserMemory(
    _ checkpoint: Checkpoint, latent: MapSize, batch: Int, precision: Precision, threads: Int
  ) -> Int { latent.area * batch << 20 }

  func denoiser(
    weights: any WeightSource, backend: any Backend, expecting size: MapSize, tap: (any LayerTap)?
  ) -> any Denoiser {
    Halving(record: record, pool: backend.pool)
  }

  func textModel(weights: any WeightSource, backend: any Backend, tap: (any LayerTap)?) -> any TextModel {
    Lengths(record: record)
  }

  private struct Halving: Denoiser, PreparedDenoiser {
    let record: Record
    let pool: any MemoryPool

    func prepared(for conditions: [DenoiserCondition], steps: [[Float]]) -> any PreparedDenoiser {
      record.preparations.withLock { $0.append(.init(conditions: conditions, steps: steps)) }
      return self
    }

    func prediction(of latents: FeatureMap, step: Int) -> FeatureMap {
      record.latents.withLock { $0.append([latents.batch, latents.height, latents.width, latents.channels]) }
      return latents.mapped(pool: pool) { $0 / 2 }
    }
  }

  private struct Lengths: TextModel {
    let record: Record

    func features(of request: TextRequest) -> PromptFeatures {
      record.requests.withLock { $0.append(request) }
      let text = TextFeatures(values: [Float(request.prompt.count)], tokens: 1, summary: [])
      return PromptFeatures(prompt: text, negative: request.isGuided ? text : nil)
    }
  }
}

/// Zeros for every weight.
private struct Zeros: WeightSource {
  func weight(named name: WeightName, shape: Shape) -> Tensor {
    Tensor(dtype: .f32, shape: shape, bytes: Bytes(copying: [Float](repeating: 0, count: shape.elementCount)))
  }
}

/// What renders asks only for what predicts, what reads texts, and what latents mean: another kind of model needs no change of it.
@Suite struct SeamTests {
  private let architecture: Packed
  private let model: PictureModel

  init() throws {
    architecture = try Packed()
    model = PictureModel(architecture, path: "packed")
  }

  private func render(_ request: RenderRequest) throws -> Renderer.Result {
    try Renderer(model, weights: Zeros(), precision: .f32, threads: 1).render([request])
  }

  @Test("a renderer prepares once, shows each step the latents, and tells a distilled model its guidance")
  func rendering() throws {
    let step = model.latents.pixelStep, size = MapSize(height: 2 * step, width: 3 * step)
    var request = RenderRequest(prompt: "four", size: size)
    (request.steps, request.guidance) = (3, Guidance(scale: 3.5))
    let result = try render(request)
    #expect(result.images[0].height == size.height && result.images[0].width == size.width)
    #expect(result.latents[0].count == 16 * 4 * 6)
    // No sample without the text, for the model is told how closely to follow it.
    #expect(architecture.record.latents.withLock { $0 } == Array(repeating: [1, 4, 6, 16], count: 3))
    #expect(architecture.record.requests.withLock { $0.map(\.isGuided) } == [false])
    let preparations = architecture.record.preparations.withLock { $0 }
    try #require(preparations.count == 1 && preparations[0].conditions.count == 1)
    #expect(preparations[0].steps.count == 3 && preparations[0].steps.allSatisfy { $0.count == 1 })
    #expect(preparations[0].conditions[0].guidance == 3.5 && preparations[0].conditions[0].text.values == [4])
    let height = Float(size.height), width = Float(size.width)
    #expect(preparations[0].conditions[0].sizes == [height, width, 0, 0, height, width])
  }

  @Test("sizes are multiples of what the denoiser takes together")
  func sizes() throws {
    let step = model.latents.pixelStep
    #expect(step == 2 * model.latents.reduction)
    let error = try #require(throws: RenderingError.self) {
      try render(RenderRequest(prompt: "", size: MapSize(height: step, width: model.latents.reduction)))
    }
    #expect(error.description == "width: expected a multiple of \(step) pixels, found \(model.latents.reduction)")
  }

  @Test("a probe asks about latents of the model's channels at all times at once")
  func probe() throws {
    let step = model.latents.pixelStep, size = MapSize(height: step, width: step)
    let predictions = try NoiseProbe(model, prompts: ["one", "three"], size: size, threads: 1).predictions(
      with: Zeros())
    #expect(predictions.map { $0.map(\.count) } == Array(repeating: Array(repeating: 16 * 4, count: 4), count: 2))
    #expect(architecture.record.latents.withLock { $0 } == Array(repeating: [4, 2, 2, 16], count: 2))
    let preparations = architecture.record.preparations.withLock { $0 }
    #expect(preparations.map(\.steps) == Array(repeating: [NoiseProbe.times], count: 2))
    #expect(preparations.map { $0.conditions.map(\.text.values) } == [3, 5].map { Array(repeating: [$0], count: 4) })
  }

  @Test("an estimate of memory asks the model")
  func memory() throws {
    let checkpoint = try Checkpoint(path: Goldens.path("diffusion/sd1-pipeline"))
    let step = model.latents.pixelStep
    let estimate = MemoryEstimate(
      model, checkpoint, decoder: nil, size: MapSize(height: 8 * step, width: 8 * step), isGuided: true,
      precision: .f32, threads: 1)
    #expect(estimate.texts == 1 << 20 && estimate.steps == 2 * 16 * 16 << 20)
  }

  @Test("an autoencoder of other latents is refused in the model's words")
  func otherLatents() throws {
    let checkpoint = try Checkpoint(path: Goldens.path("diffusion/sd1-pipeline")), step = model.latents.pixelStep
    var request = RenderRequest(prompt: "", size: MapSize(height: step, width: step))
    request.steps = 1
    let error = try #require(throws: RenderingError.self) {
      try Renderer(model, weights: Zeros(), autoencoder: .other(checkpoint), precision: .f32, threads: 1)
        .render([request])
    }
    #expect(
      error.description
        == "\(checkpoint.path): the autoencoder's latents: expected 16 channels as the transformer has them, found 4")
  }
}
