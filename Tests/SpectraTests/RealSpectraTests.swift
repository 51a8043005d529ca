import Spectra
import TestSupport
import Testing

/// Proves that the spectra, norms and totals of real adapters are those of their dense deltas, as numpy's dense SVD in
/// double precision gives them: singular values to 10⁻¹² of the largest, whatever the dialect.
@Suite struct RealSpectraTests {
  static let files = RealGolden.expected.files.keys.sorted()

  @Test("Singular values are those of the dense delta", arguments: files)
  func singularValues(file: String) throws {
    guard let adapter = try realAdapter(file) else { return }
    let golden = RealGolden.expected.files[file]!
    let spectra = try AdapterSpectrum(of: adapter, threads: 2)
    #expect(spectra.entries.count == golden.targets.count)
    var worst = 0.0
    for entry in spectra.entries {
      let name = file.hasSuffix(".pt") ? String(entry.target.name.dropFirst("unet:".count)) : entry.target.name
      let expected = try #require(golden.targets[name], "\(name)")
      #expect(entry.target.rank == expected.rank)
      #expect(abs(entry.target.scale - expected.scale) <= 1e-15 * expected.scale)
      try #require(entry.spectrum.singularValues.count == expected.sigma.count, "\(name)")
      for (found, value) in zip(entry.spectrum.singularValues, expected.sigma) {
        let difference = abs(found - value)
        #expect(difference <= 1e-12 * expected.sigma[0], "\(name): \(found), not \(value)")
        worst = max(worst, expected.sigma[0] > 0 ? difference / expected.sigma[0] : 0)
      }
      #expect(abs(entry.spectrum.norm - expected.fro) <= 1e-12 * expected.fro, "\(name)")
    }
    print("\(file): worst difference of a singular value \(worst) of the largest")
  }

  @Test("The total holds every component of every target", arguments: files)
  func totals(file: String) throws {
    guard let adapter = try realAdapter(file) else { return }
    let golden = RealGolden.expected.files[file]!
    let spectra = try AdapterSpectrum(of: adapter, threads: 2)
    let total = spectra.total
    #expect(total.targetCount == golden.targets.count)
    #expect(abs(total.spectrum.norm - golden.total_fro) <= 1e-12 * golden.total_fro)
    let values = golden.targets.values.flatMap(\.sigma).sorted(by: >)
    #expect(relativeDifference(total.spectrum.singularValues, values) <= 1e-12)
    // For an energy of e, the fewest components anywhere in the file that hold it.
    var sum = 0.0, count = 0
    while sum < 0.9 * golden.total_fro * golden.total_fro {
      sum += values[count] * values[count]
      count += 1
    }
    #expect(total.spectrum.rank(keepingEnergy: 0.9) == count)
  }

  @Test("Blocks divide the energy among them", arguments: files)
  func blocks(file: String) throws {
    guard let adapter = try realAdapter(file) else { return }
    let spectra = try AdapterSpectrum(of: adapter, threads: 2)
    let blocks = spectra.blocks, energy = RealGolden.expected.files[file]!.total_fro
    #expect(blocks.reduce(0) { $0 + $1.targetCount } == spectra.entries.count)
    #expect(Set(blocks.map(\.name)).count == blocks.count)
    let sum = blocks.reduce(0) { $0 + $1.spectrum.energy }
    #expect(abs(sum - energy * energy) <= 1e-12 * energy * energy)
  }
}
