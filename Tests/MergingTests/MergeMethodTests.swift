import Adapters
import LinearAlgebra
import Spectra
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that a method of merging is a value that anybody can make.
@Suite struct MergeMethodTests {
  /// Keeps the directions of the first adapter, whatever the others are.
  private struct FirstComesFirst: MergeMethod {
    var name: String { "first_comes_first" }
    var sharesLoss: Bool { false }

    func decomposition(of sum: SumToCut, rank: Int) throws -> Decomposition? {
      let own = try SingularValues(of: sum.core.core(weights: sum.delta.weights(ofTerm: 0)))
      return try sum.core.decomposed(
        weights: sum.delta.weights, left: own.u.selecting(columns: 0..<rank),
        right: own.vt.selecting(rows: 0..<rank).transposed)
    }
  }

  @Test("A method of one's own decides what is kept of a sum, and the file says so")
  func own() throws {
    let folder = try TemporaryFolder(), m = 9, n = 7
    let adapters = try [0.1, 10].enumerated().map { index, alpha in
      var pico = Pico(seed: UInt64(index + 5))
      pico.add("lora_unet_a", rows: m, inputs: n, rank: 3, alpha: alpha)
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1], .rank(3, conv: nil))
    recipe.method = FirstComesFirst()
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    // All of the weak first adapter is there, and only what the strong second one has in the same spaces.
    #expect(run.result.shares[1].retention! < 0.9)
    let (first, stored) = (adapters[0].targets[0].dense, run.output.targets[0].dense)
    let whole = zip(first, adapters[1].targets[0].dense).map { $0 + $1 }
    let rest = zip(whole, stored).map { $0 - $1 }
    // What is missing is orthogonal to the first adapter.
    #expect(abs(inner(rest, first)) <= 1e-6 * inner(first, first).squareRoot() * inner(rest, rest).squareRoot())
    #expect(run.output[metadata: "lathe.recipe"]?.contains("\"first_comes_first\":true") == true)
  }
}
