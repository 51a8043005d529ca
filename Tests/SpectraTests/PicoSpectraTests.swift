import Adapters
import Spectra
import Tensors
import TestSupport
import Testing

/// Proves, on adapters made in code, that the spectrum computed from the factors is the dense delta's (Jacobi rotations
/// in double precision) for every kind of target and every awkward shape, that values beyond a delta's rank are exact
/// zeros, and that neither threads nor bad numbers change that.
@Suite struct PicoSpectraTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var rows = 7, inputs = 5, rank = 3
    var kernel: [Int] = [], mid: Int?, alpha: Double?
    var upType = DType.f32, downType = DType.f32
    var size = 1.0
    /// How many values are not zero: the smaller of rank and sides where `nil`.
    var trueRank: Int?
  }

  static let cases = [
    Case(testDescription: "linear"),
    Case(testDescription: "linear, wide", rows: 4, inputs: 40, rank: 4, alpha: 1),
    Case(testDescription: "linear, tall", rows: 40, inputs: 4, rank: 2, alpha: 8),
    Case(testDescription: "1 × 1 convolution", kernel: [1, 1], alpha: 2),
    Case(testDescription: "3 × 3 convolution", rows: 6, inputs: 3, rank: 4, kernel: [3, 3], alpha: 2),
    Case(testDescription: "1 × 3 convolution", rows: 6, inputs: 3, rank: 4, kernel: [1, 3], alpha: 2),
    Case(testDescription: "convolution along one axis", rows: 6, inputs: 3, rank: 2, kernel: [3], alpha: 2),
    Case(testDescription: "convolution along three axes", rows: 6, inputs: 2, rank: 3, kernel: [2, 3, 2], alpha: 2),
    Case(testDescription: "Tucker", rows: 6, inputs: 5, rank: 3, kernel: [3, 3], mid: 3, alpha: 1.5),
    Case(testDescription: "Tucker of unequal ranks", rows: 6, inputs: 5, rank: 4, kernel: [3, 3], mid: 2, alpha: 1.5),
    Case(
      testDescription: "Tucker of less rank than its factors", rows: 9, inputs: 3, rank: 5, kernel: [1, 1], mid: 2,
      trueRank: 2),
    Case(testDescription: "half precision", upType: .f16, downType: .f16),
    Case(testDescription: "bfloat16", upType: .bf16, downType: .bf16),
    Case(testDescription: "eight bits", upType: .f8e4m3, downType: .f8e4m3),
    Case(testDescription: "other eight bits", upType: .f8e5m2, downType: .f8e5m2),
    Case(testDescription: "mixed formats", upType: .f64, downType: .bf16),
    Case(testDescription: "mixed narrow formats", upType: .f8e5m2, downType: .f16),
    Case(testDescription: "rank 1", rank: 1, alpha: 3),
    Case(testDescription: "rank above both sides", rows: 4, inputs: 3, rank: 9, alpha: 4),
    Case(testDescription: "rank above one side", rows: 4, inputs: 30, rank: 9, alpha: 4),
    Case(testDescription: "one row", rows: 1, inputs: 6, rank: 2),
    Case(testDescription: "one column", rows: 6, inputs: 1, rank: 2),
    Case(testDescription: "alpha 0", alpha: 0, trueRank: 0),
    Case(testDescription: "negative scale", alpha: -2),
    Case(testDescription: "tiny", upType: .f64, downType: .f64, size: 1e-70),
    Case(testDescription: "huge", upType: .f64, downType: .f64, size: 1e35),
  ]

  @Test("The spectrum is that of the dense delta", arguments: cases)
  func spectrum(of testCase: Case) throws {
    let folder = try TemporaryFolder()
    for seed in 1...5 as ClosedRange<UInt64> {
      var pico = Pico(seed: seed)
      pico.add(
        "lora_unet_a", rows: testCase.rows, inputs: testCase.inputs, rank: testCase.rank, kernel: testCase.kernel,
        mid: testCase.mid, alpha: testCase.alpha, dtype: testCase.upType, downType: testCase.downType,
        size: testCase.size, downSize: testCase.size)
      let adapter = try pico.write(to: folder.file("a.safetensors"))
      let target = adapter.targets[0]
      let spectrum = try AdapterSpectrum(of: adapter, threads: 1).entries[0].spectrum
      let dense = Dense.singularValues(target.dense, rows: target.rows, columns: target.columns)
      let count = min(testCase.rank, target.rows, target.columns), trueRank = testCase.trueRank ?? count
      #expect(spectrum.singularValues.count == count, "seed \(seed)")
      #expect(spectrum.singularValues.count { $0 > 0 } == trueRank, "seed \(seed)")
      for (found, value) in zip(spectrum.singularValues, dense).prefix(trueRank) {
        #expect(abs(found - value) <= 1e-13 * dense[0], "seed \(seed)")
      }
      #expect(abs(spectrum.norm - Dense.norm(target.dense)) <= 1e-13 * spectrum.norm, "seed \(seed)")
    }
  }

  @Test("Small singular values keep their digits when the factors are badly scaled")
  func gradedComponents() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 11)
    pico.add("lora_unet_a", rows: 12, inputs: 9, rank: 5, dtype: .f64, downType: .f64)
    // Component j is 10⁻²ʲ as large as the first, and its two vectors differ in length by 10⁶ʲ.
    pico.change("lora_unet_a.lora_up.weight") { values in
      for place in values.indices { values[place] *= [1, 1e5, 1e-10, 1e11, 1e-20][place % 5] }
    }
    pico.change("lora_unet_a.lora_down.weight") { values in
      for place in values.indices { values[place] *= [1, 1e-7, 1e6, 1e-17, 1e12][place / 9] }
    }
    let adapter = try pico.write(to: folder.file("a.safetensors")), target = adapter.targets[0]
    let spectrum = try AdapterSpectrum(of: adapter, threads: 1).entries[0].spectrum
    let dense = Dense.singularValues(target.dense, rows: 12, columns: 9)
    // The dense delta itself holds values only to 10⁻¹⁶ of the largest.
    for (found, value) in zip(spectrum.singularValues, dense) { #expect(abs(found - value) <= 1e-15 * dense[0]) }
    #expect(spectrum.singularValues.count { $0 > 0 } == 5)
  }

  @Test("Zero factors give zeros, and zero or repeated components give no rank")
  func zeroFactors() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 5)
    pico.add("lora_unet_a", rows: 6, inputs: 5, rank: 3)
    pico.add("lora_unet_b", rows: 6, inputs: 5, rank: 3)
    pico.add("lora_unet_c", rows: 6, inputs: 5, rank: 3)
    pico.add("lora_unet_d", rows: 6, inputs: 5, rank: 3)
    pico.change("lora_unet_a.lora_up.weight") { for i in $0.indices { $0[i] = 0 } }
    pico.change("lora_unet_b.lora_down.weight") { for i in 0..<5 { $0[i] = 0 } }
    // Component 2 is component 1 again: up to rounding the rank is 2.
    pico.change("lora_unet_c.lora_up.weight") { for row in 0..<6 { $0[row * 3 + 2] = $0[row * 3 + 1] } }
    pico.change("lora_unet_c.lora_down.weight") { for i in 0..<5 { $0[10 + i] = $0[5 + i] } }
    // Component 2 undoes component 1.
    pico.change("lora_unet_d.lora_up.weight") { for row in 0..<6 { $0[row * 3 + 2] = -$0[row * 3 + 1] } }
    pico.change("lora_unet_d.lora_down.weight") { for i in 0..<5 { $0[10 + i] = $0[5 + i] } }
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    let entries = try AdapterSpectrum(of: adapter, threads: 2).entries
    #expect(entries.map { $0.spectrum.singularValues.count } == [3, 3, 3, 3])
    #expect(entries.map { $0.spectrum.singularValues.count { $0 > 0 } } == [0, 2, 2, 1])
    for entry in entries.dropFirst() {
      let dense = Dense.singularValues(entry.target.dense, rows: 6, columns: 5)
      #expect(abs(entry.spectrum.singularValues[0] - dense[0]) <= 1e-14 * dense[0])
    }
  }

  @Test("Blocks and totals are the targets' values together")
  func parts() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 8)
    pico.add("lora_unet_down_blocks_0_x", rows: 6, inputs: 5, rank: 2)
    pico.add("lora_unet_mid_block_x", rows: 6, inputs: 5, rank: 3)
    pico.add("lora_unet_down_blocks_0_y", rows: 6, inputs: 5, rank: 1)
    pico.add("lora_te_text_model_encoder_layers_0_mlp_fc1", rows: 6, inputs: 5, rank: 1)
    let spectra = try AdapterSpectrum(of: try pico.write(to: folder.file("a.safetensors")), threads: 2)
    // The file's order is by name.
    #expect(spectra.entries.map(\.target.rank) == [1, 2, 1, 3])
    #expect(spectra.blocks.map(\.name) == ["text encoder 1", "down_blocks.0", "mid_block"])
    #expect(spectra.blocks.map(\.targetCount) == [1, 2, 1])
    let all = spectra.entries.flatMap(\.spectrum.singularValues)
    #expect(spectra.total.spectrum.singularValues == all.sorted(by: >))
    let down = spectra.entries[1].spectrum.singularValues + spectra.entries[2].spectrum.singularValues
    #expect(spectra.blocks[1].spectrum.singularValues == down.sorted(by: >))
  }

  @Test("The result has the same bits whatever the number of threads", arguments: [1, 2, 5])
  func threads(count: Int) throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 21)
    for index in 0..<40 {
      pico.add("lora_unet_\(index)", rows: 3 + index * 7 % 11, inputs: 2 + index * 5 % 13, rank: 1 + index % 6)
    }
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    let reference = try AdapterSpectrum(of: adapter, threads: 1).entries.map(\.spectrum.singularValues)
    #expect(try AdapterSpectrum(of: adapter, threads: count).entries.map(\.spectrum.singularValues) == reference)
  }

  @Test("Progress counts every target once")
  func progress() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 3)
    for index in 0..<9 { pico.add("lora_unet_\(index)", rows: 4, inputs: 4, rank: 2) }
    let seen = Counter()
    _ = try AdapterSpectrum(of: try pico.write(to: folder.file("a.safetensors")), threads: 2) { seen.add($0) }
    #expect(seen.sorted == Array(1...9))
  }
}
