import Adapters
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that an exact merge whose components are independent is the adapters' own factors side by side: the weighted sum, at its
/// smallest rank, with the error that rounding really made; and that all other sums are decomposed as before.
@Suite struct ConcatenationTests {
  private func two(
    _ folder: TemporaryFolder, dtypes: [DType] = [.f32, .f32], alphas: [Double?] = [1.5, nil], sizes: [Double] = [1, 1]
  ) throws -> [Adapter] {
    try (0..<2).map { index in
      var pico = Pico(seed: UInt64(90 + index))
      for (name, kernel) in [("lora_unet_a", []), ("lora_unet_b", [3, 3])] as [(String, [Int])] {
        pico.add(
          name, rows: 24, inputs: kernel.isEmpty ? 18 : 4, rank: 3 + index, kernel: kernel, alpha: alphas[index],
          dtype: dtypes[index], size: sizes[index])
      }
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
  }

  private func dense(_ name: String, _ adapters: [Adapter], _ strengths: [Double]) -> [Double] {
    sum(adapters.map { adapter in adapter.targets.first { $0.name == name }!.dense }, strengths)
  }

  private func says(_ run: Refactoring) -> Bool {
    run.output[metadata: "lathe.recipe"]?.contains(#""order":"concatenated""#) == true
  }

  @Test(
    "The result is the weighted sum, and as large as its rank", arguments: [[0.7, -0.3], [1, 1e-3], [-2, 5]],
    [DType.f64, .f32, .f16, .bf16])
  func weightedSum(strengths: [Double], dtype: DType) throws {
    let folder = try TemporaryFolder(), adapters = try two(folder, dtypes: [dtype, dtype])
    let run = try Refactoring(.merge(adapters, strengths), to: folder.file("m.safetensors"))
    #expect(says(run))
    let limit = dtype == .f64 ? 1e-12 : 1.5 * dtype.unitRoundoff!
    for (target, entry) in zip(run.output.targets, run.result.entries) {
      let expected = dense(target.name, adapters, strengths), error = relativeDifference(target.dense, expected)
      #expect(target.rank == 7 && target.dtype == dtype)
      #expect(error <= limit, "\(target.name)")
      #expect(abs(entry.relativeError - error) <= max(0.02 * error, 1e-14), "\(target.name)")
      #expect(abs(entry.norm - Dense.norm(expected)) <= 1e-12 * entry.norm)
    }
    #expect(Set(run.output.targets.map(\.alpha)).count == 1)
  }

  @Test("Powers of two leave every bit as it was", arguments: [DType.f16, .bf16, .f32])
  func exact(dtype: DType) throws {
    let folder = try TemporaryFolder()
    let adapters = try two(folder, dtypes: [dtype, dtype], alphas: [3, 2], sizes: [1, 8])
    let run = try Refactoring(.merge(adapters, [0.5, -2]), to: folder.file("m.safetensors"))
    #expect(run.result.relativeError == 0 && says(run))
    for target in run.output.targets {
      let sources = adapters.map { adapter in adapter.targets.first { $0.name == target.name }! }
      // Significands of the first rows of `down` are those of the first adapter, and so on.
      let own = target.down.doubles(), stored = sources.flatMap { $0.down.doubles() }
      #expect(own.count == stored.count)
      for (a, b) in zip(own, stored) { #expect(a.significand == b.significand) }
    }
  }

  @Test("Both factors of a term get entries of one size")
  func gauge() throws {
    let folder = try TemporaryFolder()
    let adapters = try two(folder, sizes: [1, 1])
    var pico = Pico(seed: 3)
    pico.add("lora_unet_a", rows: 24, inputs: 18, rank: 2, size: 1)
    pico.change("lora_unet_a.lora_up.weight") { up in for i in up.indices { up[i] *= 4096 } }
    let other = try pico.write(to: folder.file("o.safetensors"))
    let run = try Refactoring(.merge([adapters[0], other], [0.7, 0.3]), to: folder.file("m.safetensors"))
    let target = try #require(run.output.targets.first { $0.name == "lora_unet_a" })
    let up = target.up.doubles(), down = target.down.doubles()
    for range in [0..<3, 3..<5] {
      let ups = range.flatMap { j in (0..<24).map { up[$0 * 5 + j] } }
      let downs = Array(down[range.lowerBound * 18..<range.upperBound * 18])
      let ratio =
        Dense.norm(ups) / Double(ups.count).squareRoot() / (Dense.norm(downs) / Double(downs.count).squareRoot())
      #expect((0.49...2.05).contains(ratio))
    }
  }

  @Test("Retention and spectra are those of the canonical way")
  func canonical() throws {
    let folder = try TemporaryFolder(), adapters = try two(folder, dtypes: [.f64, .f64])
    var recipe = RefactorRecipe.merge(adapters, [0.7, -0.4])
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    recipe.isCanonical = true
    let other = try Refactoring(recipe, to: folder.file("n.safetensors"))
    #expect(says(run) && !says(other))
    for (a, b) in zip(run.result.shares, other.result.shares) {
      #expect(abs(try #require(a.retention) - (try #require(b.retention))) <= 1e-12)
    }
    for (a, b) in zip(run.decomposed.spectra, other.decomposed.spectra) {
      for (x, y) in zip(a.singularValues, b.singularValues) { #expect(abs(x - y) <= 1e-12 * b.singularValues[0]) }
    }
    for (a, b) in zip(run.output.targets, other.output.targets) {
      #expect(relativeDifference(a.dense, b.dense) <= 1e-12)
      // In order of size, as ever.
      let lengths = (0..<7).map { j in Dense.norm((0..<24).map { b.up.doubles()[$0 * 7 + j] }) }
      #expect(zip(lengths, lengths.dropFirst()).allSatisfy { $0 >= $1 * (1 - 1e-12) })
    }
  }

  @Test("An adapter given twice keeps its rank, and so does one with dead components")
  func dependent() throws {
    let folder = try TemporaryFolder(), adapters = try two(folder)
    let twice = try Refactoring(.merge([adapters[0], adapters[0]], [0.7, 0.2]), to: folder.file("m.safetensors"))
    #expect(twice.output.targets.allSatisfy { $0.rank == 3 } && !says(twice))
    var pico = Pico(seed: 5)
    pico.add("lora_unet_a", rows: 24, inputs: 18, rank: 4)
    pico.change("lora_unet_a.lora_up.weight") { up in for row in 0..<24 { up[row * 4 + 1] = 0 } }
    let dead = try pico.write(to: folder.file("d.safetensors"))
    let run = try Refactoring(.merge([adapters[0], dead], [0.7, 0.2]), to: folder.file("n.safetensors"))
    let target = try #require(run.output.targets.first { $0.name == "lora_unet_a" })
    #expect(target.rank == 6 && says(run))
    let expected = sum([adapters[0].targets[0].dense, dead.targets[0].dense], [0.7, 0.2])
    #expect(relativeDifference(target.dense, expected) <= 2e-7)
  }

  @Test("More components than the sides allow are decomposed; silent adapters take no room")
  func sides() throws {
    let folder = try TemporaryFolder()
    let adapters = try (0..<2).map { index in
      var pico = Pico(seed: UInt64(index))
      pico.add("lora_unet_a", rows: 5, inputs: 18, rank: 3)
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
    let run = try Refactoring(.merge(adapters, [0.7, 0.2]), to: folder.file("m.safetensors"))
    #expect(run.output.targets[0].rank == 5 && !says(run))
    let silent = try Refactoring(.merge(adapters, [0, 0.3]), to: folder.file("n.safetensors"))
    #expect(silent.output.targets[0].rank == 3 && says(silent))
    #expect(relativeDifference(silent.output.targets[0].dense, sum([adapters[1].targets[0].dense], [0.3])) <= 2e-7)
  }

  @Test("Eight bits are made anew, and the bytes do not depend on the number of threads")
  func formats() throws {
    let folder = try TemporaryFolder(), adapters = try two(folder)
    var recipe = RefactorRecipe.merge(adapters, [0.7, -0.4])
    let outputs = try [1, 3].map { threads in
      _ = try Refactoring(recipe, to: folder.file("m\(threads).safetensors"), threads: threads)
      return try folder.bytes(of: "m\(threads).safetensors")
    }
    #expect(outputs[0] == outputs[1])
    recipe.dtype = .f8e4m3
    let run = try Refactoring(recipe, to: folder.file("n.safetensors"))
    #expect(!says(run) && run.result.relativeError < 0.05)
  }
}
