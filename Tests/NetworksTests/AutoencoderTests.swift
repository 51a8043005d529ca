import Checkpoints
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct AutoencoderTests {
  static let fixtures = ["vae-tiny", "vae-narrow", "vae-two-levels", "vae-faint", "vae-sixteen"]

  /// Deviations of 0.05 and less, where others have 0.5: the images of `vae-faint` too.
  private func limit(_ name: String, _ kind: TestedBackend) -> Float {
    (name == "vae-faint" ? 4e-6 : 2e-5) * kind.leniency
  }

  private func configuration(_ golden: NetworkGolden) throws -> AutoencoderConfiguration {
    try AutoencoderConfiguration(configurationFields("\(golden.model)/config.json"), file: golden.name)
  }

  @Test("decodes as diffusers does, block by block", arguments: fixtures, TestedBackend.allCases)
  func decodes(_ name: String, _ kind: TestedBackend) throws {
    let golden = try NetworkGolden(name), configuration = try configuration(golden)
    let checkpoint = try Checkpoint(path: golden.model)
    try KernelThread.run {
      let backend = kind.make()
      for test in golden.cases where test.hasPrefix("decode") {
        // The goldens' latents are divided by the scale already; the decoder does that itself.
        let unscaled = FeatureMap(try golden.input("\(test)/latent"), pool: backend.pool)
        let latent = unscaled.mapped(pool: backend.pool) { ($0 - configuration.shift) * configuration.scale }
        let decoder = try AutoencoderDecoder(
          configuration, weights: checkpoint, backend: backend, expecting: latent.size)
        var firstWrong: String?
        let image = decoder(latent) { block, map in
          guard firstWrong == nil, let expected = golden.outputs["\(test)/\(block)"] else { return }
          let difference = largestDifference(map.planarValues, expected.floats())
          let size = expected.floats().reduce(1) { max($0, abs($1)) }
          if !(difference <= 2e-5 * kind.leniency * size) { firstWrong = "\(block): \(difference) of \(size)" }
        }
        #expect(firstWrong == nil, "\(test): the first block that differs is \(firstWrong ?? "")")
        let difference = largestDifference(image.planarValues, try golden.output("\(test)/image").floats())
        #expect(difference <= limit(name, kind), "\(test): \(difference)")
      }
    }
  }

  @Test("encodes as diffusers does", arguments: fixtures, TestedBackend.allCases)
  func encodes(_ name: String, _ kind: TestedBackend) throws {
    let golden = try NetworkGolden(name), configuration = try configuration(golden)
    let checkpoint = try Checkpoint(path: golden.model)
    try KernelThread.run {
      let backend = kind.make()
      for test in golden.cases where test.hasPrefix("encode") {
        let image = FeatureMap(try golden.input("\(test)/image"), pool: backend.pool)
        let encoder = try AutoencoderEncoder(
          configuration, weights: checkpoint, backend: backend, expecting: image.size)
        let moments = try golden.output("\(test)/moments").floats()
        let size = moments.reduce(1) { max($0, abs($1)) }
        let difference = largestDifference(encoder.moments(of: image).planarValues, moments)
        #expect(difference <= limit(name, kind) * size, "\(test), moments: \(difference) of \(size)")

        let mean = try golden.output("\(test)/mean").floats(), logvar = try golden.output("\(test)/logvar").floats()
        let means = encoder.latents(of: image, noise: nil)
        #expect(means.channels == configuration.latentChannels)
        let scaled = mean.map { ($0 - configuration.shift) * configuration.scale }
        let meanDifference = largestDifference(means.planarValues, scaled)
        #expect(meanDifference <= limit(name, kind) * size, "\(test), means: \(meanDifference)")

        var generator = SplitMix64(seed: 12)
        let noise = generator.gaussians(mean.count).map { Float($0) }
        let drawn = zip(mean, zip(logvar, noise)).map {
          ($0 + exp($1.0 / 2) * $1.1 - configuration.shift) * configuration.scale
        }
        let drawnDifference = largestDifference(encoder.latents(of: image, noise: noise).planarValues, drawn)
        #expect(drawnDifference <= 2 * limit(name, kind) * size, "\(test), drawn: \(drawnDifference)")
      }
    }
  }

  @Test("a large picture is the same, whether maps lie over each other or each has its own memory")
  func large() throws {
    let golden = try NetworkGolden("vae-tiny"), configuration = try configuration(golden)
    let checkpoint = try Checkpoint(path: golden.model), size = MapSize(height: 72, width: 60)
    var generator = SplitMix64(seed: 31)
    let numbers = generator.gaussians(4 * size.area).map { Float($0) }
    func decoded(threads: Int, keepsMaps: Bool) throws -> [Float] {
      try KernelThread.run {
        let backend = TestedBackend.native.make(threads: threads)
        let latent = FeatureMap(
          numbers, batch: 1, height: size.height, width: size.width, channels: 4, pool: backend.pool)
        let decoder = try AutoencoderDecoder(
          configuration, weights: checkpoint, backend: backend, expecting: size)
        // A map that somebody else holds cannot be written over.
        var kept: [FeatureMap] = []
        let picture = decoder(latent) { if keepsMaps { kept.append($1) } }
        #expect(picture.size.area > 1 << 14 && kept.isEmpty == !keepsMaps)
        return picture.values
      }
    }
    let one = try decoded(threads: 1, keepsMaps: false), apart = try decoded(threads: 1, keepsMaps: true)
    let difference = largestDifference(one, apart)
    #expect(difference <= 1e-6 * rootMeanSquare(apart), "seed 31: \(difference)")
    for threads in 2...3 {
      let several = try decoded(threads: threads, keepsMaps: false)
      #expect(several.map(\.bitPattern) == one.map(\.bitPattern), "\(threads) threads give other bits")
    }
  }

  @Test("a shift is taken off after the scale")
  func shift() throws {
    let golden = try NetworkGolden("vae-two-levels"), checkpoint = try Checkpoint(path: golden.model)
    var shifted = try configuration(golden)
    shifted.scale = 0.5
    shifted.shift = 0.25
    try KernelThread.run {
      let backend = TestedBackend.native.make(),
        unscaled = FeatureMap(try golden.input("decode/latent"), pool: backend.pool)
      let decoder = try AutoencoderDecoder(shifted, weights: checkpoint, backend: backend, expecting: unscaled.size)
      let image = decoder(unscaled.mapped(pool: backend.pool) { ($0 - 0.25) * 0.5 })
      let difference = largestDifference(image.planarValues, try golden.output("decode/image").floats())
      #expect(difference <= 2e-5, "\(difference)")
      let picture = FeatureMap(try golden.input("encode/image"), pool: backend.pool)
      let encoder = try AutoencoderEncoder(shifted, weights: checkpoint, backend: backend, expecting: picture.size)
      let means = try golden.output("encode/mean").floats().map { ($0 - 0.25) * 0.5 }
      #expect(largestDifference(encoder.latents(of: picture, noise: nil).planarValues, means) <= 2e-5)
    }
  }
}
