import Kernels
import Networks

/// A UNet as a denoiser.
struct UNetDenoiser: Denoiser {
  private let network: UNet
  private let pool: any MemoryPool

  init(_ network: UNet, pool: any MemoryPool) { (self.network, self.pool) = (network, pool) }

  func prepared(for conditions: [DenoiserCondition], steps: [[Float]]) -> any PreparedDenoiser {
    let text = FeatureMap(
      conditions.flatMap(\.text.values), batch: conditions.count, height: 1, width: conditions[0].text.tokens,
      channels: conditions[0].text.width, pool: pool)
    return Prepared(
      network: network, text: network.prepare(text: text),
      times: network.prepare(times: steps, conditions: conditions.map(UNet.Condition.init)))
  }

  private struct Prepared: PreparedDenoiser {
    let network: UNet
    let text: UNet.PreparedText
    let times: [UNet.PreparedTime]

    func prediction(of latents: FeatureMap, step: Int) -> FeatureMap { network(latents, time: times[step], text: text) }
  }
}

extension UNet.Condition {
  fileprivate init(_ condition: DenoiserCondition) {
    self.init()
    (pooledText, sizes, guidance) = (condition.text.summary, condition.sizes, condition.guidance)
  }
}
