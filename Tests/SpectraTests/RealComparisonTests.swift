import Adapters
import Spectra
import TestSupport
import Testing

/// Proves that distances and cross-talk of real adapters are those of their dense deltas, although two of the three
/// files spell the same targets differently.
@Suite struct RealComparisonTests {
  @Test("Errors and cosines are those of the dense deltas", arguments: RealGolden.expected.compare)
  func comparison(golden: RealGolden.Comparison) throws {
    guard let a = try realAdapter(golden.a), let b = try realAdapter(golden.b) else { return }
    let comparison = try Comparison(a, b, threads: 2)
    #expect(abs(comparison.relativeError - golden.relative_error) <= 1e-9 * golden.relative_error)
    #expect(abs(try #require(comparison.cosine) - golden.cosine) <= 1e-12)
    let expected = Dictionary(uniqueKeysWithValues: golden.targets.map { ($0.replacing(".", with: "_"), $1) })
    #expect(comparison.entries.count == expected.count)
    for entry in comparison.entries {
      let value = try #require(expected[entry.key.path], "\(entry.key.path)")
      #expect(entry.presence == .both)
      #expect(abs(entry.relativeError - value.relative_error) <= 1e-9 * value.relative_error, "\(entry.name)")
      #expect(abs(entry.spectralError - value.spectral_error) <= 1e-9 * value.spectral_error, "\(entry.name)")
      #expect(abs(try #require(entry.cosine) - value.cosine) <= 1e-9, "\(entry.name)")
    }
  }

  @Test(
    "Cross-talk and principal angles of one target are those of the dense deltas",
    arguments: RealGolden.expected.crosstalk)
  func crossTalk(golden: RealGolden.CrossTalk) throws {
    guard let a = try realAdapter(golden.a), let b = try realAdapter(golden.b) else { return }
    let folder = try TemporaryFolder(), path = golden.target.replacing(".", with: "_")
    let pair = try [a, b].enumerated().map { try single(path, of: $1, to: folder.file("\($0).safetensors")) }

    let entry = try Comparison(pair[0], pair[1], threads: 1).entries[0]
    #expect(entry.upCosines.count == golden.up_cosines.count)
    #expect(entry.downCosines.count == golden.down_cosines.count)
    for (found, value) in zip(entry.upCosines + entry.downCosines, golden.up_cosines + golden.down_cosines) {
      #expect(abs(found - value) <= 1e-9)
    }
    let talk = try #require(
      CrossTalk(pair, strengths: [1, 1], threads: 1).pairs.first { $0.source == 0 && $0.target == 1 })
    #expect(talk.sharedTargets == 1)
    #expect(abs(talk.output - golden.output) <= 1e-9 * golden.output)
    #expect(abs(talk.input - golden.input) <= 1e-9 * golden.input)
    let meanUp = golden.up_cosines.reduce(0) { $0 + $1 * $1 } / Double(golden.up_cosines.count)
    let meanDown = golden.down_cosines.reduce(0) { $0 + $1 * $1 } / Double(golden.down_cosines.count)
    #expect(abs(talk.outputOverlap - meanUp) <= 1e-9)
    #expect(abs(talk.inputOverlap - meanDown) <= 1e-9)
  }

  /// An adapter of one of `adapter`'s targets alone.
  private func single(_ path: String, of adapter: Adapter, to file: String) throws -> Adapter {
    let target = try #require(adapter.targets.first { $0.key.path == path })
    try writeAdapter(
      to: file,
      tensors: [
        (target.names.up, target.up.shape.extents, target.up.dtype, target.up.doubles()),
        (target.names.down, target.down.shape.extents, target.down.dtype, target.down.doubles()),
      ])
    return try Adapter(path: file)
  }
}
