import Foundation
import Safetensors
import TestSupport
import Testing

@testable import Extracting
@testable import Factoring

/// Extraction against numpy's singular values; see `Tests/Goldens/extract/make.py`.
@Suite struct ExtractGoldenTests {
  private struct Weight: Decodable {
    let shape: [Int]
    let norm: Double
    let values: [Double]
    let rank90: Int
  }

  private struct Golden: Decodable { let weights: [String: Weight] }

  private let golden: [String: Weight]
  private let folder: TemporaryFolder

  init() throws {
    golden = try JSONDecoder().decode(Golden.self, from: Goldens.data("extract/expected.json")).weights
    folder = try TemporaryFolder()
  }

  private func extract(_ rule: RankRule) throws -> ExtractResult {
    try ExtractFixture.extract(
      ExtractRecipe(
        base: Goldens.path("extract/base.safetensors"), tuned: Goldens.path("extract/tuned.safetensors"),
        rule: .ranks(rule), dtype: .f32), to: folder.file("out.safetensors"), overwriting: true)
  }

  @Test("what is left beyond each rank", arguments: [1, 3, 8])
  func tails(_ rank: Int) throws {
    let result = try extract(.rank(rank, conv: nil))
    #expect(result.entries.count == 4)
    #expect(result.equalCount == 1)
    for (name, weight) in golden where weight.shape.count > 1 && weight.norm > 0 {
      let entry = try #require(result.entries.first { $0.name == ExtractFixture.module(name) })
      #expect(abs(entry.norm - weight.norm) <= 1e-7 * weight.norm)
      let tail = Dense.norm(Array(weight.values.dropFirst(rank)))
      #expect(abs(entry.error - tail) <= 1e-6 * weight.norm, "\(name)")
      #expect(entry.rankBefore == weight.values.count)
    }
  }

  @Test("the rank that keeps nine tenths of the energy")
  func energy() throws {
    let result = try extract(.energy(0.9))
    for (name, weight) in golden where weight.shape.count > 1 && weight.norm > 0 {
      let entry = try #require(result.entries.first { $0.name == ExtractFixture.module(name) })
      #expect(entry.rankAfter == weight.rank90, "\(name)")
    }
  }

  @Test("a bias is numpy's difference")
  func bias() throws {
    let result = try extract(.rank(1, conv: nil))
    let name = ExtractFixture.block + "ff.net.0.proj.bias"
    let file = try SafetensorsFile(path: folder.file("out.safetensors"))
    let values = try #require(file[ExtractFixture.module(name) + ".diff_b"]).doubles()
    #expect(abs(Dense.norm(values) - golden[name]!.norm) <= 1e-7 * golden[name]!.norm)
    #expect(result.full.count == 1)
  }
}
