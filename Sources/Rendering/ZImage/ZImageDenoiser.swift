import Kernels
import Networks

/// Z-Image's transformer as a denoiser.
struct ZImageDenoiser: Denoiser {
  private let network: ZImageTransformer
  private let pool: any MemoryPool

  init(_ network: ZImageTransformer, pool: any MemoryPool) { (self.network, self.pool) = (network, pool) }

  func prepared(for conditions: [DenoiserCondition], steps: [[Float]]) -> any PreparedDenoiser {
    // Texts are not filled up to one length: what fills them is read. Those of one length are computed together.
    var groups: [[Int]] = []
    for sample in conditions.indices {
      let tokens = conditions[sample].text.tokens
      if let group = groups.firstIndex(where: { conditions[$0[0]].text.tokens == tokens }) {
        groups[group].append(sample)
      } else {
        groups.append([sample])
      }
    }
    return Prepared(
      network: network, pool: pool,
      groups: groups.map { samples in
        let first = conditions[samples[0]].text
        let text = FeatureMap(
          samples.flatMap { conditions[$0].text.values }, batch: samples.count, height: 1, width: first.tokens,
          channels: first.width, pool: pool)
        return Prepared.Group(
          samples: samples, text: network.prepare(text: text),
          times: network.prepare(times: steps.map { times in samples.map { times[$0] } }))
      })
  }

  private struct Prepared: PreparedDenoiser {
    struct Group {
      let samples: [Int]
      let text: ZImageTransformer.PreparedText
      let times: [ZImageTransformer.PreparedTime]
    }

    let network: ZImageTransformer
    let pool: any MemoryPool
    let groups: [Group]

    func prediction(of latents: FeatureMap, step: Int) -> FeatureMap {
      if groups.count == 1 { return network(latents, time: groups[0].times[step], text: groups[0].text) }
      let values = latents.values, count = values.count / latents.batch
      var result = [Float](repeating: 0, count: values.count)
      func map(_ values: [Float], samples: Int) -> FeatureMap {
        FeatureMap(
          values, batch: samples, height: latents.height, width: latents.width, channels: latents.channels, pool: pool)
      }
      for group in groups {
        let own = group.samples.flatMap { values[$0 * count..<($0 + 1) * count] }
        let predicted = network(
          map(own, samples: group.samples.count), time: group.times[step], text: group.text
        ).values
        for (place, sample) in group.samples.enumerated() {
          result.replaceSubrange(
            sample * count..<(sample + 1) * count, with: predicted[place * count..<(place + 1) * count])
        }
      }
      return map(result, samples: latents.batch)
    }
  }
}
