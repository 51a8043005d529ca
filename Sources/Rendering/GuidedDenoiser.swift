import Kernels
import Sampling

/// A denoiser with all that stays the same for the steps of one picture, the guidance too.
struct GuidedDenoiser {
  private let denoiser: any PreparedDenoiser
  private let guidance: Guidance?
  private let channels: Int
  private let pool: any MemoryPool

  /// - Parameters:
  ///   - texts: without a negative when the picture is made without guidance.
  ///   - times: of each step.
  ///   - channels: of the latents.
  init(
    _ denoiser: any Denoiser, _ texts: PromptFeatures, request: RenderRequest, times: [Float], channels: Int,
    pool: any MemoryPool
  ) throws {
    guidance = texts.negative == nil ? nil : request.guidance
    // The negative comes first, as in diffusers.
    let samples = [texts.negative, texts.prompt].compactMap { $0 }
    let sizes = request.sizes ?? DenoiserCondition.sizes(of: request.size)
    self.denoiser = try denoiser.prepared(
      for: samples.map { DenoiserCondition(text: $0, sizes: sizes, guidance: request.guidance.scale) },
      steps: times.map { Array(repeating: $0, count: samples.count) })
    self.channels = channels
    self.pool = pool
  }

  /// The guided prediction for a latent, channels × height × width.
  func output(for latent: [Float], size: MapSize, step: Int) throws -> [Float] {
    let batch = guidance == nil ? 1 : 2
    let input = FeatureMap(
      planar: batch == 1 ? latent : latent + latent, batch: batch, channels: channels, height: size.height,
      width: size.width, pool: pool)
    let output = try denoiser.prediction(of: input, step: step).planarValues
    guard let guidance else { return output }
    let half = output.count / 2
    return guidance.combined(unconditional: Array(output[..<half]), conditional: Array(output[half...]))
  }
}
