import Platform
import Sampling

/// tanh(0.7 x) + 0.01 t / 1000: bounded, not linear, and aware of the timestep.
func standIn(_ sample: [Float], timestep: Float) -> [Float] {
  sample.map { tanhf(0.7 * $0) + 0.01 * timestep / 1000 }
}

/// The sample before the first step and after each.
func trajectory(
  _ sampler: Sampler, from start: [Float], first: Int = 0, noise: inout some NoiseSource
) -> [[Float]] {
  var sampler = sampler
  var sample = start
  var samples = [sample]
  for index in first..<sampler.timesteps.count {
    let scale = sampler.inputScale(at: index)
    let output = standIn(sample.map { $0 * scale }, timestep: sampler.timesteps[index])
    sampler.step(output: output, sample: &sample, index: index, noise: &noise)
    samples.append(sample)
  }
  return samples
}
