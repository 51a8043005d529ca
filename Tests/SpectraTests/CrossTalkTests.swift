import Adapters
import Spectra
import TestSupport
import Testing

/// Proves that cross-talk over many targets is what its definition gives on dense matrices, for adapters that share
/// some targets and not others, and that it sees what cosines cannot.
@Suite struct CrossTalkTests {
  private func three(_ folder: TemporaryFolder) throws -> [Adapter] {
    var picos = (1...3).map { Pico(seed: UInt64($0)) }
    for (index, rank) in [2, 3, 1].enumerated() {
      picos[index].add("lora_unet_a", rows: 8, inputs: 7, rank: rank, alpha: 2)
      if index != 1 { picos[index].add("lora_unet_b", rows: 5, inputs: 3, rank: rank, kernel: [3, 3], alpha: -1) }
      if index == 2 { picos[index].add("lora_unet_c", rows: 5, inputs: 4, rank: 2) }
    }
    return try picos.enumerated().map { try $1.write(to: folder.file("\($0).safetensors")) }
  }

  @Test("Every pair is what the dense matrices give", arguments: [[1, 1, 1], [0.5, -2, 3], [1, 0, 1]] as [[Double]])
  func dense(strengths: [Double]) throws {
    let folder = try TemporaryFolder(), adapters = try three(folder)
    let pairs = try CrossTalk(adapters, strengths: strengths, threads: 2).pairs
    #expect(pairs.map { [$0.source, $0.target] } == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]])
    for pair in pairs {
      var output = 0.0, outputOwn = 0.0, input = 0.0, inputOwn = 0.0, product = 0.0, sourceSquare = 0.0,
        targetSquare = 0.0
      var shared = 0
      let sources = Dictionary(uniqueKeysWithValues: adapters[pair.source].targets.map { ($0.name, $0) })
      for target in adapters[pair.target].targets {
        let d = target.dense.map { $0 * strengths[pair.target] }, (m, n) = (target.rows, target.columns)
        let dT = Dense.transposed(d, rows: m, columns: n)
        func square(_ values: [Double]) -> Double { inner(values, values) }
        outputOwn += square(Dense.product(dT, d, rows: n, inner: m, columns: n))
        inputOwn += square(Dense.product(d, dT, rows: m, inner: n, columns: m))
        targetSquare += square(d)
        guard let source = sources[target.name] else { continue }
        let s = source.dense.map { $0 * strengths[pair.source] }
        output += square(Dense.product(Dense.transposed(s, rows: m, columns: n), d, rows: n, inner: m, columns: n))
        input += square(Dense.product(s, dT, rows: m, inner: n, columns: m))
        product += inner(s, d)
        shared += 1
      }
      for source in sources.values { sourceSquare += inner(source.dense, source.dense) }
      sourceSquare *= strengths[pair.source] * strengths[pair.source]
      #expect(pair.sharedTargets == shared)
      func isClose(_ found: Double, _ above: Double, _ below: Double) -> Bool {
        if below == 0 { return above == 0 ? found == 0 : found == .infinity }
        return abs(found - (above / below).squareRoot()) <= 1e-12 * max(found, 1e-30)
      }
      #expect(isClose(pair.output, output, outputOwn))
      #expect(isClose(pair.input, input, inputOwn))
      if sourceSquare > 0, targetSquare > 0 {
        let cosine = product / (sourceSquare * targetSquare).squareRoot()
        #expect(abs(try #require(pair.cosine) - cosine) <= 1e-13)
      } else {
        #expect(pair.cosine == nil)
      }
    }
  }

  @Test("Adapters that listen to the same inputs are caught although their cosine is zero")
  func sameInputs() throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 9), right = Pico(seed: 9)
    left.add("lora_unet_a", rows: 8, inputs: 7, rank: 2)
    right.add("lora_unet_a", rows: 8, inputs: 7, rank: 2)
    // Same down factor; one writes to the first four outputs, the other to the last four.
    left.change("lora_unet_a.lora_up.weight") { for i in 8..<16 { $0[i] = 0 } }
    right.change("lora_unet_a.lora_up.weight") { for i in 0..<8 { $0[i] = 0 } }
    let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
    let pair = try CrossTalk([a, b], strengths: [1, 1], threads: 1).pairs[0]
    #expect(abs(try #require(pair.cosine)) <= 1e-15)
    #expect(pair.output <= 1e-15)
    #expect(pair.outputOverlap <= 1e-15)
    #expect(pair.input >= 0.1)
    #expect(abs(pair.inputOverlap - 1) <= 1e-13)
    #expect(pair.randomOutputOverlap == 2.0 / 8)
    #expect(pair.randomInputOverlap == 2.0 / 7)
  }

  @Test("An adapter fully disturbs itself")
  func itself() throws {
    let folder = try TemporaryFolder(), adapter = try three(folder)[2]
    let pair = try CrossTalk([adapter, adapter], strengths: [1, -1], threads: 2).pairs[1]
    #expect(abs(pair.output - 1) <= 1e-13)
    #expect(abs(pair.input - 1) <= 1e-13)
    #expect(abs(try #require(pair.cosine) + 1) <= 1e-13)
    #expect(abs(pair.outputOverlap - 1) <= 1e-13)
    #expect(abs(pair.inputOverlap - 1) <= 1e-13)
  }

  @Test("Overlap of random spaces is what chance predicts")
  func chance() throws {
    let folder = try TemporaryFolder()
    var overlaps: [Double] = []
    for seed in 0..<40 as Range<UInt64> {
      var left = Pico(seed: 100 + seed), right = Pico(seed: 900 + seed)
      left.add("lora_unet_a", rows: 20, inputs: 30, rank: 5)
      right.add("lora_unet_a", rows: 20, inputs: 30, rank: 2)
      let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
      let pair = try CrossTalk([a, b], strengths: [1, 1], threads: 1).pairs[0]
      #expect(pair.randomOutputOverlap == 5.0 / 20)
      #expect(pair.randomInputOverlap == 5.0 / 30)
      overlaps.append(pair.outputOverlap)
    }
    #expect(abs(overlaps.reduce(0, +) / 40 - 0.25) <= 0.05)
  }
}
