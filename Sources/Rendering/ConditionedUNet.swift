import Kernels
import Networks
import Sampling

/// A UNet with all that stays the same for the steps of one picture.
struct ConditionedUNet {
  private let network: UNet
  private let text: UNet.PreparedText
  private let times: [UNet.PreparedTime]
  private let guidance: Guidance?
  private let pool: MemoryPool

  /// - Parameters:
  ///   - negative: `nil` when the picture is made without guidance.
  ///   - times: of each step.
  init(
    _ network: UNet, _ prompt: TextConditioner.Features, negative: TextConditioner.Features?, request: RenderRequest,
    times: [Float], pool: MemoryPool
  ) {
    self.network = network
    self.pool = pool
    guidance = negative == nil ? nil : request.guidance
    // The negative comes first, as in diffusers.
    let samples = [negative, prompt].compactMap { $0 }
    text = network.prepare(
      text: FeatureMap(
        samples.flatMap(\.values), batch: samples.count, height: 1, width: prompt.tokens,
        channels: prompt.values.count / prompt.tokens, pool: pool))
    let conditions = samples.map { sample in
      var condition = UNet.Condition()
      condition.pooledText = sample.summary
      condition.sizes = request.sizes ?? UNet.Condition.sizes(of: request.size)
      condition.guidance = request.guidance.scale
      return condition
    }
    self.times = network.prepare(
      times: times.map { Array(repeating: $0, count: samples.count) }, conditions: conditions)
  }

  /// The guided prediction for a latent, channels × height × width.
  func output(for latent: [Float], size: MapSize, step: Int) -> [Float] {
    let batch = guidance == nil ? 1 : 2
    let input = FeatureMap(
      planar: batch == 1 ? latent : latent + latent, batch: batch, channels: network.configuration.inputChannels,
      height: size.height, width: size.width, pool: pool)
    let output = network(input, time: times[step], text: text).planarValues
    guard let guidance else { return output }
    let half = output.count / 2
    return guidance.combined(unconditional: Array(output[..<half]), conditional: Array(output[half...]))
  }
}
