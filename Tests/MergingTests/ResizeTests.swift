import Adapters
import FoundationEssentials
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that a resized adapter, read back from the disk, holds the best approximation of every delta (a dense
/// decomposition says which), with the error that the report says, at the same scale, in balanced factors whose
/// leading components are themselves best approximations.
@Suite struct ResizeTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var rows = 14, inputs = 10, rank = 4
    var kernel: [Int] = [], mid: Int?, alpha: Double?
    var dtype = DType.f32
    var output: DType?
  }

  static let cases = [
    Case(testDescription: "linear, no alpha"),
    Case(testDescription: "linear, alpha", alpha: 2),
    Case(testDescription: "linear, alpha that halves cannot hold", alpha: 1.1),
    Case(testDescription: "linear, negative alpha", alpha: -2),
    Case(testDescription: "1 × 1 convolution", kernel: [1, 1], alpha: 2),
    Case(testDescription: "3 × 3 convolution", inputs: 3, kernel: [3, 3], alpha: 2),
    Case(testDescription: "convolution along one axis", inputs: 3, kernel: [3], alpha: 2),
    Case(testDescription: "convolution along three axes", inputs: 2, kernel: [2, 3, 2], alpha: 2),
    Case(testDescription: "Tucker", inputs: 3, kernel: [3, 3], mid: 4, alpha: 2),
    Case(testDescription: "Tucker of unequal ranks", inputs: 5, rank: 4, kernel: [3, 3], mid: 2, alpha: 3),
    Case(testDescription: "rank above the sides", rows: 6, inputs: 5, rank: 9, alpha: 3),
    Case(testDescription: "half precision", alpha: 1, dtype: .f16),
    Case(testDescription: "bfloat16", alpha: 1, dtype: .bf16),
    Case(testDescription: "eight bits", alpha: 1, dtype: .f8e4m3),
    Case(testDescription: "half precision into single", alpha: 1, dtype: .f16, output: .f32),
    Case(testDescription: "single precision into half", alpha: 1, output: .f16),
    Case(testDescription: "single precision into half, no alpha", output: .f16),
    Case(testDescription: "single precision into eight bits", alpha: 1, output: .f8e4m3),
  ]

  /// A relative error that two rounded factors of this format stay below.
  private func rounding(_ dtype: DType) -> Double { 1.5 * dtype.unitRoundoff! }

  private func pico(_ testCase: Case, seed: UInt64) -> Pico {
    var pico = Pico(seed: seed)
    pico.add(
      "lora_unet_a", rows: testCase.rows, inputs: testCase.inputs, rank: testCase.rank, kernel: testCase.kernel,
      mid: testCase.mid, alpha: testCase.alpha, dtype: testCase.dtype, size: 0.1)
    return pico
  }

  @Test("The output is the best approximation of every rank", arguments: cases)
  func truncation(testCase: Case) throws {
    for seed in 1...3 as ClosedRange<UInt64> {
      let folder = try TemporaryFolder()
      let source = try pico(testCase, seed: seed).write(to: folder.file("a.safetensors")).targets[0]
      let dense = DenseTruncation(source.dense, rows: source.rows, columns: source.columns)
      let norm = Dense.norm(source.dense), full = min(testCase.rank, source.rows, source.columns)
      for rank in 1...full + 1 {
        var recipe = RefactorRecipe.resize(folder.file("a.safetensors"), .rank(rank, conv: nil))
        recipe.dtype = testCase.output
        let run = try Refactoring(recipe, to: folder.file("\(rank).safetensors")),
          label: Comment = "seed \(seed), rank \(rank)"
        let target = run.output.targets[0], dtype = testCase.output ?? testCase.dtype
        #expect(target.rank == min(rank, full), label)
        #expect((target.name, target.dtype) == (source.name, dtype), label)
        #expect(target.kind == (source.kind == .tucker ? .conv : source.kind), label)
        #expect(target.shape == source.shape, label)
        #expect(target.up.shape.rank == target.down.shape.rank, label)
        let expected = dense.approximation(rank: rank), error = relativeDifference(target.dense, source.dense)
        #expect(relativeDifference(target.dense, expected) <= rounding(dtype), label)
        // The report measures what was stored; below 10⁻⁵ it may only know the size of the rounding.
        let slack = error < 1e-5 ? 0.5 * error : 1e-6 * error
        #expect(abs(run.result.relativeError - error) <= slack, label)
        #expect(abs(run.result.entries[0].norm - norm) <= 1e-12 * norm, label)
        #expect(abs(run.allocation.relativeError - tail(dense.values, rank, norm)) <= 1e-7, label)
        #expect(run.result.bytes == (try folder.bytes(of: "\(rank).safetensors").count), label)
        #expect(try !folder.names.contains { $0.hasSuffix(".partial") }, label)
      }
    }
  }

  private func tail(_ values: [Double], _ rank: Int, _ norm: Double) -> Double {
    Dense.norm(Array(values.dropFirst(rank))) / norm
  }

  @Test("Factors are balanced, signed, sorted, and can be cut again without decomposing", arguments: cases)
  func canonicalFactors(testCase: Case) throws {
    let folder = try TemporaryFolder()
    let source = try pico(testCase, seed: 5).write(to: folder.file("a.safetensors")).targets[0]
    // What is not cut is copied as it is.
    guard source.rank > 1 else { return }
    var recipe = RefactorRecipe.resize(folder.file("a.safetensors"), .rank(source.rank - 1, conv: nil))
    recipe.dtype = testCase.output
    let target = try Refactoring(recipe, to: folder.file("b.safetensors")).output.targets[0]
    let up = target.up.doubles(), down = target.down.doubles(), rank = target.rank
    let columns = (0..<rank).map { j in (0..<target.rows).map { up[$0 * rank + j] } }
    let rows = (0..<rank).map { Array(down[$0 * target.columns..<($0 + 1) * target.columns]) }
    let limit = rounding(target.dtype)
    for (column, row) in zip(columns, rows) {
      #expect(column.max { abs($0) < abs($1) }! > 0)
      // Gauges are powers of two; all else is shared evenly.
      let ratio = Dense.norm(column) / Dense.norm(row), power = ratio.binade
      let isEven = abs(ratio / power - 1) <= 2 * limit || abs(ratio / power - 2) <= 4 * limit
      #expect(isEven, "\(ratio)")
      if target.dtype.bits > 8 { #expect(abs(ratio - 1) <= 2 * limit) }
    }
    let lengths = zip(columns, rows).map { Dense.norm($0) * Dense.norm($1) * abs(target.scale) }
    let dense = DenseTruncation(source.dense, rows: source.rows, columns: source.columns)
    for (length, value) in zip(lengths, dense.values) { #expect(abs(length - value) <= 2 * limit * value) }
    for rank in 1...rank {
      #expect(relativeDifference(target.dense(components: rank), dense.approximation(rank: rank)) <= limit)
    }
  }

  @Test("The scale stays what it was, but for its sign", arguments: cases)
  func scale(testCase: Case) throws {
    let folder = try TemporaryFolder()
    let source = try pico(testCase, seed: 6).write(to: folder.file("a.safetensors")).targets[0]
    var recipe = RefactorRecipe.resize(folder.file("a.safetensors"), .rank(3, conv: nil))
    recipe.dtype = testCase.output
    let target = try Refactoring(recipe, to: folder.file("b.safetensors")).output.targets[0]
    // Eight-bit factors move the scale by powers of two. The alpha is stored in single precision.
    let ratio = target.scale / source.scale.magnitude
    #expect(abs(target.dtype.bits == 8 ? ratio / ratio.binade - 1 : ratio - 1) <= 1e-7)
    if testCase.alpha == nil {
      #expect(target.alpha == nil)
      #expect(target.scale == 1)
    }
  }

  @Test("Half precision at full rank costs three parts in ten thousand", arguments: [1, 1e-3, 1e-7, 1e-11, 3e4])
  func halfPrecision(size: Double) throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 12)
    for index in 0..<3 {
      pico.add("lora_unet_\(index)", rows: 120, inputs: 90, rank: 8, alpha: 8, size: size, decay: 0.5)
    }
    let source = try pico.write(to: folder.file("a.safetensors"))
    var recipe = RefactorRecipe.resize(folder.file("a.safetensors"), .exact)
    recipe.dtype = .f16
    let output = try Refactoring(recipe, to: folder.file("b.safetensors")).output
    for (a, b) in zip(source.targets, output.targets) {
      // √2 · 2.1e-4 on average: the two factors' roundings, which are uniform on the digits.
      #expect(relativeDifference(b.dense, a.dense) <= 3.3e-4, "\(a.name)")
    }
  }

  @Test("Eight bits cost four parts in a hundred, whatever the size of the values")
  func eightBits() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 13)
    for (index, size) in [1, 1e-3, 1e-9, 1e6].enumerated() {
      pico.add("lora_unet_\(index)", rows: 120, inputs: 90, rank: 8, alpha: 8, size: size)
    }
    let source = try pico.write(to: folder.file("a.safetensors"))
    var recipe = RefactorRecipe.resize(folder.file("a.safetensors"), .exact)
    recipe.dtype = .f8e4m3
    let run = try Refactoring(recipe, to: folder.file("b.safetensors"))
    for ((a, b), entry) in zip(zip(source.targets, run.output.targets), run.result.entries) {
      let error = relativeDifference(b.dense, a.dense)
      #expect(error <= 0.04, "\(a.name)")
      #expect(abs(entry.relativeError - error) <= 1e-6 * error, "\(a.name)")
    }
  }

  @Test("Convolutions may have a rank of their own")
  func convolutionRank() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 14)
    pico.add("lora_unet_a", rows: 9, inputs: 8, rank: 6)
    pico.add("lora_unet_b", rows: 9, inputs: 8, rank: 6, kernel: [1, 1])
    pico.add("lora_unet_c", rows: 9, inputs: 8, rank: 6, kernel: [3, 3])
    pico.add("lora_unet_d", rows: 9, inputs: 8, rank: 6, kernel: [1, 3], mid: 6)
    try pico.write(to: folder.file("a.safetensors"))
    let output = try Refactoring(
      .resize(folder.file("a.safetensors"), .rank(4, conv: 2)), to: folder.file("b.safetensors")
    ).output
    #expect(output.targets.map(\.rank) == [4, 4, 2, 2])
  }
}
