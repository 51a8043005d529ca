import Adapters
import Spectra
import TestSupport
import Testing

/// Proves that a comparison sees deltas and not factors: other factors of one delta compare equal, and whatever is not
/// equal is measured as the dense deltas say, with targets that one side lacks counted in full.
@Suite struct ComparisonTests {
  /// A two-target adapter with B·G and G⁻¹·A for random lower triangular G, in double precision.
  private func regauged(_ pico: Pico, ranks: [Int], seed: UInt64) -> Pico {
    var result = pico, random = SplitMix64(seed: seed)
    for (name, rank) in zip(["lora_unet_a", "lora_unet_b"], ranks) {
      for _ in 0..<12 {
        // Column i gains f times column j, so row j loses f times row i.
        let i = random.below(rank), j = random.below(rank), factor = random.gaussian()
        guard i != j else { continue }
        result.change("\(name).lora_up.weight") { values in
          for start in stride(from: 0, to: values.count, by: rank) { values[start + i] += factor * values[start + j] }
        }
        result.change("\(name).lora_down.weight") { values in
          let length = values.count / rank
          for place in 0..<length { values[j * length + place] -= factor * values[i * length + place] }
        }
      }
    }
    return result
  }

  private func pair() -> Pico {
    var pico = Pico(seed: 31)
    pico.add("lora_unet_a", rows: 9, inputs: 8, rank: 4, alpha: 2, dtype: .f64, downType: .f64)
    pico.add("lora_unet_b", rows: 5, inputs: 3, rank: 3, kernel: [3, 3], alpha: 1, dtype: .f64, downType: .f64)
    return pico
  }

  @Test("An adapter equals itself in any gauge", arguments: [0, 1, 2, 3, 4] as [UInt64])
  func gauge(seed: UInt64) throws {
    let folder = try TemporaryFolder()
    let a = try pair().write(to: folder.file("a.safetensors"))
    let other = seed == 0 ? pair() : regauged(pair(), ranks: [4, 3], seed: seed)
    let b = try other.write(to: folder.file("b.safetensors"))
    let comparison = try Comparison(a, b, threads: 2)
    #expect(comparison.relativeError <= 1e-12, "seed \(seed)")
    #expect(abs(try #require(comparison.cosine) - 1) <= 1e-12, "seed \(seed)")
    for entry in comparison.entries {
      #expect(entry.spectralError <= 1e-12, "seed \(seed)")
      #expect(entry.upCosines.allSatisfy { $0 >= 1 - 1e-12 && $0 <= 1 }, "seed \(seed)")
      #expect(entry.downCosines.allSatisfy { $0 >= 1 - 1e-12 && $0 <= 1 }, "seed \(seed)")
      #expect(entry.upCosines.count == (entry.name == "lora_unet_a" ? 4 : 3))
    }
  }

  @Test("Distances are those of the dense deltas, with strengths", arguments: [(1.0, 1.0), (0.5, -2), (0, 1), (1, 0)])
  func dense(strengthA: Double, strengthB: Double) throws {
    let folder = try TemporaryFolder()
    let a = try pair().write(to: folder.file("a.safetensors"))
    var other = Pico(seed: 32)
    other.add("lora_unet_a", rows: 9, inputs: 8, rank: 2)
    other.add("lora_unet_b", rows: 5, inputs: 3, rank: 6, kernel: [3, 3], mid: 2)
    let b = try other.write(to: folder.file("b.safetensors"))
    let comparison = try Comparison(a, b, strengths: (strengthA, strengthB), threads: 2)
    var squares = (a: 0.0, b: 0.0, difference: 0.0)
    for (entry, (x, y)) in zip(comparison.entries, zip(a.targets, b.targets)) {
      let first = x.dense.map { $0 * strengthA }, second = y.dense.map { $0 * strengthB }
      let difference = zip(first, second).map { $0 - $1 }
      #expect(abs(entry.normA - Dense.norm(first)) <= 1e-13 * Dense.norm(first))
      #expect(abs(entry.normB - Dense.norm(second)) <= 1e-13 * Dense.norm(second))
      #expect(abs(entry.difference - Dense.norm(difference)) <= 1e-13 * Dense.norm(difference))
      #expect(abs(entry.inner - inner(first, second)) <= 1e-13 * max(1, Dense.norm(first) * Dense.norm(second)))
      let sigma = Dense.singularValues(difference, rows: x.rows, columns: x.columns)[0]
      #expect(abs(entry.spectralDifference - sigma) <= 1e-13 * sigma)
      let sigmaA = Dense.singularValues(first, rows: x.rows, columns: x.columns)[0]
      #expect(abs(entry.spectralA - sigmaA) <= 1e-13 * sigmaA)
      squares.a += inner(first, first)
      squares.b += inner(second, second)
      squares.difference += inner(difference, difference)
    }
    #expect(abs(comparison.normA - squares.a.squareRoot()) <= 1e-13 * squares.a.squareRoot())
    #expect(abs(comparison.normB - squares.b.squareRoot()) <= 1e-13 * squares.b.squareRoot())
    #expect(abs(comparison.difference - squares.difference.squareRoot()) <= 1e-13 * squares.difference.squareRoot())
    if strengthA == 0 || strengthB == 0 {
      #expect(comparison.cosine == nil)
      #expect(comparison.bestFit == nil)
    }
    if strengthA == 0 { #expect(comparison.relativeError == .infinity) }
    if strengthB == 0 { #expect(abs(comparison.relativeError - 1) <= 1e-15) }
  }

  @Test("A target that one side lacks counts in full")
  func oneSided() throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 41), right = Pico(seed: 41)
    left.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    right.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    left.add("lora_unet_b", rows: 6, inputs: 4, rank: 2)
    right.add("lora_unet_c", rows: 3, inputs: 5, rank: 1)
    let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
    let comparison = try Comparison(a, b, threads: 1)
    #expect(comparison.entries.map(\.presence) == [.both, .onlyA, .onlyB])
    #expect(comparison.entries.map(\.name) == ["lora_unet_a", "lora_unet_b", "lora_unet_c"])
    let onlyA = Dense.norm(a.targets[1].dense), onlyB = Dense.norm(b.targets[1].dense)
    #expect(comparison.entries[0].difference <= 1e-14 * comparison.entries[0].normA)
    #expect(abs(comparison.entries[1].difference - onlyA) <= 1e-14 * onlyA)
    #expect(comparison.entries[1].relativeError == 1)
    #expect(comparison.entries[1].spectralError == 1)
    #expect(comparison.entries[1].cosine == nil)
    #expect(abs(comparison.entries[2].difference - onlyB) <= 1e-14 * onlyB)
    #expect(comparison.entries[2].relativeError == .infinity)
    #expect(comparison.entries[2].upCosines.isEmpty)
    let expected = (onlyA * onlyA + onlyB * onlyB).squareRoot()
    #expect(abs(comparison.difference - expected) <= 1e-14 * expected)
    #expect(abs(comparison.relativeError - expected / comparison.normA) <= 1e-14)
  }

  @Test("The best fit finds the strength of a copy", arguments: [1.0, 0.35, -2, 1e-3])
  func bestFit(strength: Double) throws {
    let folder = try TemporaryFolder()
    let a = try pair().write(to: folder.file("a.safetensors"))
    let fit = try #require(Comparison(a, a, strengths: (1, strength), threads: 2).bestFit)
    #expect(abs(fit.factor - strength) <= 1e-13 * abs(strength))
    #expect(fit.relativeError <= 1e-7)
  }

  @Test("The best fit of different adapters is the dense projection")
  func bestFitOfOthers() throws {
    let folder = try TemporaryFolder()
    let a = try pair().write(to: folder.file("a.safetensors"))
    var noisy = pair(), random = SplitMix64(seed: 77)
    noisy.change("lora_unet_a.lora_up.weight") { for i in $0.indices { $0[i] += 0.3 * random.gaussian() } }
    let b = try noisy.write(to: folder.file("b.safetensors"))
    let x = a.targets.flatMap(\.dense), y = b.targets.flatMap(\.dense)
    let factor = inner(x, y) / inner(x, x)
    let fit = try #require(Comparison(a, b, threads: 2).bestFit)
    #expect(abs(fit.factor - factor) <= 1e-13)
    let rest = zip(y, x).map { $0 - factor * $1 }
    #expect(abs(fit.relativeError - Dense.norm(rest) / Dense.norm(y)) <= 1e-12)
  }

  @Test("Deltas of different shapes cannot be compared")
  func shapes() throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 1), right = Pico(seed: 2)
    left.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    right.add("lora_unet_a", rows: 6, inputs: 4, rank: 2)
    let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
    let error = #expect(throws: AdapterError.self) { try Comparison(a, b, threads: 1) }
    #expect(error?.description == "\(b.path): lora_unet_a: shape: expected [6, 5] as in \(a.path), found [6, 4]")
  }

  @Test("A kernel is not mistaken for more inputs, but a 1 × 1 kernel is none")
  func kernels() throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 1), right = Pico(seed: 2), point = Pico(seed: 1)
    left.add("lora_unet_a", rows: 6, inputs: 9, rank: 2)
    right.add("lora_unet_a", rows: 6, inputs: 1, rank: 2, kernel: [3, 3])
    point.add("lora_unet_a", rows: 6, inputs: 9, rank: 2, kernel: [1, 1])
    let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
    let c = try point.write(to: folder.file("c.safetensors"))
    #expect(try Comparison(a, c, threads: 1).relativeError <= 1e-14)
    let error = #expect(throws: AdapterError.self) { try Comparison(a, b, threads: 1) }
    #expect(error?.description == "\(b.path): lora_unet_a: shape: expected [6, 9] as in \(a.path), found [6, 1, 3, 3]")
  }

  @Test("The result has the same bits whatever the number of threads", arguments: [2, 5])
  func threads(count: Int) throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 51), right = Pico(seed: 52)
    for index in 0..<30 {
      left.add("lora_unet_\(index)", rows: 3 + index % 7, inputs: 4 + index % 5, rank: 1 + index % 4)
      right.add("lora_unet_\(index)", rows: 3 + index % 7, inputs: 4 + index % 5, rank: 1 + index % 3)
    }
    let a = try left.write(to: folder.file("a.safetensors")), b = try right.write(to: folder.file("b.safetensors"))
    func numbers(_ threads: Int) throws -> [Double] {
      try Comparison(a, b, threads: threads).entries.flatMap {
        [$0.normA, $0.normB, $0.difference, $0.inner, $0.spectralA, $0.spectralDifference] + $0.upCosines
          + $0.downCosines
      }
    }
    #expect(try numbers(count) == numbers(1))
  }
}
