import Adapters
import Spectra
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that clipping writes min(σ, c) and nothing else, tells its error, and touches none but what it should.
@Suite struct ClippingTests {
  /// Nine usual targets, one whose first component is `spike` times as strong, and one that is only strong.
  private func adapter(spike: Double, in folder: TemporaryFolder) throws -> Adapter {
    var pico = Pico(seed: 77)
    for index in 0..<9 { pico.add("lora_unet_a\(index)", rows: 12, inputs: 10, rank: 4, alpha: 4, dtype: .f64) }
    pico.add("lora_unet_spike", rows: 12, inputs: 10, rank: 3, alpha: 3, dtype: .f64, size: spike, decay: 1 / spike)
    pico.add("lora_unet_strong", rows: 12, inputs: 10, rank: 3, alpha: 3, dtype: .f64, size: spike, decay: 1)
    return try pico.write(to: folder.file("spiky.safetensors"))
  }

  private func clipped(_ adapter: Adapter, _ clipping: SpikeClipping, _ rule: RankRule, to path: String) throws
    -> Refactoring
  {
    var recipe = RefactorRecipe.resize(adapter.path, rule)
    (recipe.clipping, recipe.dtype) = (clipping, .f64)
    return try Refactoring(recipe, to: path)
  }

  @Test("Singular values are written as min(σ, c), with their directions", arguments: [0.3, 2, 40])
  func values(ceiling: Double) throws {
    let folder = try TemporaryFolder(), adapter = try adapter(spike: 60, in: folder)
    let run = try clipped(adapter, .above(ceiling), .exact, to: folder.file("c.safetensors"))
    var lost = 0.0, total = 0.0
    for target in adapter.targets {
      let stored = run.output.targets.first { $0.name == target.name }!
      let values = Dense.singularValues(target.dense, rows: 12, columns: 10).filter { $0 > 1e-10 }
      let found = Dense.singularValues(stored.dense, rows: 12, columns: 10)
      for (value, expected) in zip(found, values.map { min($0, ceiling) }.sorted(by: >)) {
        #expect(abs(value - expected) <= 1e-9 * values[0], "\(target.name)")
      }
      let difference = zip(target.dense, stored.dense).map { $0 - $1 }
      // What was taken away lies along the singular vectors: its singular values are σ − c.
      let gone = values.map { max(0, $0 - ceiling) }
      for (value, expected) in zip(Dense.singularValues(difference, rows: 12, columns: 10), gone) {
        #expect(abs(value - expected) <= 1e-9 * values[0], "\(target.name)")
      }
      lost += inner(difference, difference)
      total += inner(target.dense, target.dense)
    }
    #expect(abs(run.result.relativeError - (lost / total).squareRoot()) <= 1e-9)
    #expect(run.decomposed.clipped.allSatisfy { $0.from > ceiling && $0.to == ceiling })
  }

  @Test("Above all singular values it changes no bit")
  func nothing() throws {
    let folder = try TemporaryFolder(), adapter = try adapter(spike: 60, in: folder)
    for rule: RankRule in [.exact, .rank(2, conv: nil)] {
      let plain = try clipped(adapter, .none, rule, to: folder.file("p\(rule).safetensors"))
      let above = try clipped(adapter, .above(1e6), rule, to: folder.file("a\(rule).safetensors"))
      for (a, b) in zip(plain.output.targets, above.output.targets) {
        #expect(a.dense == b.dense)
        #expect(a.alpha == b.alpha)
      }
      #expect(above.decomposed.clipped.isEmpty)
    }
  }

  @Test("Only targets with a spike are clipped, at twice the median or what is said")
  func spikes() throws {
    let folder = try TemporaryFolder(), adapter = try adapter(spike: 60, in: folder)
    let spectrum = try AdapterSpectrum(of: adapter, threads: 1)
    #expect(spectrum.spikes().map(\.target) == ["lora_unet_spike"])
    let firsts = spectrum.entries.map { $0.spectrum.singularValues[0] }.sorted(), median = firsts[firsts.count / 2]
    for medians in [1.0, 2, 5] {
      let run = try clipped(adapter, .spikes(medians: medians), .exact, to: folder.file("\(medians).safetensors"))
      #expect(run.decomposed.clipped.map(\.name) == ["lora_unet_spike"])
      let stored = run.output.targets.first { $0.name == "lora_unet_spike" }!
      let largest = Dense.singularValues(stored.dense, rows: 12, columns: 10)[0]
      #expect(abs(largest - medians * median) <= 1e-9 * largest)
    }
    #expect(try AdapterSpectrum(of: self.adapter(spike: 4, in: folder), threads: 1).spikes().isEmpty)
  }

  @Test("With the base's strength at hand that alone decides")
  func againstBase() throws {
    let folder = try TemporaryFolder(), adapter = try adapter(spike: 60, in: folder)
    let spectra = try AdapterSpectrum(of: adapter, threads: 1).entries.map(\.spectrum)
    let firsts = spectra.map { $0.singularValues[0] }
    #expect(Spikes(in: spectra, weights: firsts.map { 0.51 * $0 }).places.isEmpty)
    #expect(Spikes(in: spectra, weights: firsts.map { 0.49 * $0 }).places == Array(spectra.indices))
    // Of targets without a weight the adapter alone says it.
    let known: [Double?] = firsts.indices.map { $0 == 0 ? 0.1 * firsts[0] : nil }
    #expect(Spikes(in: spectra, weights: known).places == [0, 9])
    #expect(Spikes(in: []).places.isEmpty && Spikes(in: [Spectrum([]), Spectrum([0])]).places.isEmpty)
  }

  @Test("Ranks are divided by the errors that are left", arguments: [1200, 2500, 4000])
  func size(bytes: Int) throws {
    let folder = try TemporaryFolder(), adapter = try adapter(spike: 60, in: folder)
    var recipe = RefactorRecipe.resize(adapter.path, .size(.init(bytes + 4000)))
    (recipe.clipping, recipe.dtype) = (.above(3), .f32)
    let run = try Refactoring(recipe, to: folder.file("c.safetensors"))
    #expect(abs(run.allocation.relativeError - run.result.relativeError) <= 1e-6)
    #expect(run.result.lowerBound! <= run.result.relativeError + 1e-12)
  }

  @Test("None of the trained adapters of the example has a spike")
  func trained() throws {
    let names = ["blueprint", "fireflies", "glitter", "lumi", "popart", "sepia-r64", "sketch"]
    for name in names.map({ "\($0).safetensors" }) + ["neon"] {
      let adapter = try Adapter(path: Goldens.path("../../Examples/Toybox/adapters/\(name)"))
      #expect(try AdapterSpectrum(of: adapter, threads: 2).spikes().isEmpty, "\(name)")
    }
  }
}
