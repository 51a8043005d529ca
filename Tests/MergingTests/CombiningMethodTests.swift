import Adapters
import Foundation
import LinearAlgebra
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that each method makes of adapters what its formula says, against dense float64 algebra and PEFT
/// (`Tests/Goldens/merging/make.py`).
@Suite struct CombiningMethodTests {
  struct Golden: Decodable {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
      struct Settings: Decodable, Sendable {
        let density: Double?
        let protect: [Int]?
        let strength: Double?
      }

      let method: String
      let adapters: [String]
      let strengths: [Double]
      let settings: Settings
      let targets: [String: [Double]]

      var testDescription: String { "\(method) of \(adapters.joined()) at \(strengths)" }

      var recipe: RefactorRecipe {
        get throws {
          var own = MergeMethods.Settings()
          (own.density, own.protected, own.protection) = (
            settings.density, Set(settings.protect ?? []), settings.strength
          )
          let files = try adapters.map { try Adapter(path: Goldens.path("merging/\($0).safetensors")) }
          // The rank of the largest target: nothing is cut.
          var recipe = RefactorRecipe.merge(files, strengths, .rank(10, conv: nil))
          recipe.method = MergeMethods.named(method)!.make(own)
          recipe.dtype = .f64
          return recipe
        }
      }
    }

    let cases: [Case]

    static let stored: Golden = {
      do {
        return try JSONDecoder().decode(Golden.self, from: Goldens.data("merging/expected.json"))
      } catch { fatalError("Tests/Goldens/merging/expected.json: \(error)") }
    }()
  }

  @Test("A method makes what its formula says", arguments: Golden.stored.cases)
  func formula(_ golden: Golden.Case) throws {
    let folder = try TemporaryFolder(), run = try Refactoring(golden.recipe, to: folder.file("m.safetensors"))
    // What is chosen number by number goes through single precision.
    let limit = golden.method.hasPrefix("ties") ? 2e-6 : 1e-12
    #expect(run.output.targets.count == golden.targets.count)
    for target in run.output.targets {
      let expected = golden.targets[target.name]!
      #expect(relativeDifference(target.dense, expected) <= limit, "\(target.name)")
    }
    // What is kept of an adapter is told of the adapter as it was.
    for (index, share) in run.result.shares.enumerated() {
      var kept = 0.0, own = 0.0
      for target in run.plan.adapters[index].targets {
        kept += inner(target.dense, golden.targets[target.name]!) / golden.strengths[index]
        own += inner(target.dense, target.dense)
      }
      #expect(abs(share.retention! - kept / own) <= 1e-6)
    }
  }

  @Test("What is cut of a combination is told, and nothing cuts it better", arguments: ["ties", "tsv", "knots-ties"])
  func cut(method: String) throws {
    let golden = Golden.stored.cases.first { $0.method == method }!
    let folder = try TemporaryFolder()
    var recipe = try golden.recipe
    recipe.rule = .rank(2, conv: nil)
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    var lost = 0.0, total = 0.0
    for target in run.output.targets {
      let expected = golden.targets[target.name]!
      let best = DenseTruncation(expected, rows: target.rows, columns: target.columns).approximation(rank: 2)
      #expect(relativeDifference(target.dense, best) <= 1e-5, "\(target.name)")
      let difference = zip(target.dense, expected).map { $0 - $1 }
      lost += inner(difference, difference)
      total += inner(expected, expected)
    }
    #expect(abs(run.result.relativeError - (lost / total).squareRoot()) <= 1e-6)
    #expect(abs(run.allocation.relativeError - run.result.relativeError) <= 1e-6)
  }

  @Test("A size holds for what a method makes, and the bound is one")
  func size() throws {
    var recipe = try Golden.stored.cases[0].recipe
    recipe.dtype = .f32
    recipe.rule = .size(.init(3000))
    let folder = try TemporaryFolder(), run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    #expect(run.result.bytes <= 3000)
    #expect(run.result.lowerBound! <= run.result.relativeError && run.result.relativeError < 1)
  }

  @Test("Chance depends on the seed alone, and a density of 1 leaves the sum", arguments: ["dare", "della"])
  func chance(method: String) throws {
    let folder = try TemporaryFolder(), golden = Golden.stored.cases[0]
    func merged(_ density: Double, _ seed: UInt64, threads: Int = 2) throws -> Adapter {
      var settings = MergeMethods.Settings(), recipe = try golden.recipe
      (settings.density, settings.seed) = (density, seed)
      recipe.method = MergeMethods.named(method)!.make(settings)
      let path = folder.file("\(density)-\(seed)-\(threads).safetensors")
      return try Refactoring(recipe, to: path, overwriting: true, threads: threads).output
    }
    func bytes(_ adapter: Adapter) -> Data { FileManager.default.contents(atPath: adapter.path)! }
    #expect(bytes(try merged(0.5, 3)) == bytes(try merged(0.5, 3, threads: 1)))
    #expect(bytes(try merged(0.5, 3)) != bytes(try merged(0.5, 4)))
    guard method == "dare" else { return }
    let files = try golden.recipe.inputs.map { try Adapter(path: $0.path) }
    let sum = try Refactoring(.merge(files, golden.strengths), to: folder.file("sum.safetensors")).output
    for (target, exact) in zip(try merged(1, 0).targets, sum.targets) {
      #expect(relativeDifference(target.dense, exact.dense) <= 1e-6)
    }
  }

  @Test("On average over seeds nothing is lost by chance")
  func expectation() throws {
    let folder = try TemporaryFolder(), golden = Golden.stored.cases[0], count = 200
    let files = try golden.recipe.inputs.map { try Adapter(path: $0.path) }
    let sum = try Refactoring(.merge(files, golden.strengths), to: folder.file("sum.safetensors")).output.targets[0]
    var mean = [Double](repeating: 0, count: sum.dense.count)
    for seed in 0..<count {
      var recipe = try golden.recipe
      recipe.method = Dare(density: 0.5, seed: UInt64(seed))
      let merged = try Refactoring(recipe, to: folder.file("m.safetensors"), overwriting: true).output
      for (i, value) in merged.targets.first(where: { $0.name == sum.name })!.dense.enumerated() {
        mean[i] += value / Double(count)
      }
    }
    // Each number is off by about its size ÷ √count.
    #expect(relativeDifference(mean, sum.dense) <= 3 / Double(count).squareRoot())
  }

  @Test("Chances of DELLA are those of their places, and their mean is the density", arguments: [0.1, 0.5, 0.9, 1])
  func chances(density: Double) {
    for columns in [1, 2, 7] {
      let chances = Della(density: density).chances(columns: columns)
      #expect(chances.count == columns && chances == chances.sorted())
      #expect(chances.allSatisfy { $0 > 0 && $0 <= 1 })
      #expect(abs(chances.reduce(0, +) / Double(columns) - density) <= 1e-12)
    }
  }

  @Test("What is the largest is found among equals too")
  func largest() {
    #expect([3.0, -1, 3, -3, 0].keepingLargest(2) == [3, 0, 3, 0, 0])
    #expect([1.0, 1, 1].keepingLargest(0) == [0, 0, 0])
    #expect([1.0, -2].keepingLargest(5) == [1, -2])
    var generator = SplitMix64(seed: 5)
    let numbers = (0..<999).map { _ in Double.random(in: -1...1, using: &generator) }
    let limit = numbers.map(\.magnitude).sorted(by: >)[332]
    #expect(numbers.keepingLargest(333) == numbers.map { $0.magnitude >= limit ? $0 : 0 })
  }

  @Test("Adapters that are the same are there once by their own effect, and TSV")
  func same() throws {
    let folder = try TemporaryFolder(), file = try Adapter(path: Goldens.path("merging/a.safetensors"))
    for method: any MergeMethod in [OwnEffects(), TaskSingularVectors()] {
      var recipe = RefactorRecipe.merge([file, file], [1, 1])
      recipe.method = method
      recipe.dtype = .f64
      let run = try Refactoring(recipe, to: folder.file("\(method.name).safetensors"))
      for (merged, one) in zip(run.output.targets, file.targets) {
        #expect(relativeDifference(merged.dense, one.dense) <= 1e-12, "\(method.name)")
      }
    }
  }

  @Test("A weight that one adapter changes is as it was, by every method")
  func alone() throws {
    let file = try Adapter(path: Goldens.path("merging/a.safetensors")), folder = try TemporaryFolder()
    let other = try Adapter(path: Goldens.path("merging/b.safetensors"))
    for choice in MergeMethods.all {
      var recipe = RefactorRecipe.merge([file, other], [0.7, 0.4], .rank(10, conv: nil))
      (recipe.method, recipe.dtype) = (choice.makeProtectingFirst(), .f64)
      let run = try Refactoring(recipe, to: folder.file("\(choice.name).safetensors"))
      let alone = file.targets.last!, merged = run.output.targets.first { $0.name == alone.name }!
      #expect(relativeDifference(merged.dense, alone.dense.map { 0.7 * $0 }) <= 1e-12, "\(choice.name)")
    }
  }

  @Test("Methods refuse what they cannot work with")
  func refusals() throws {
    let files = try ["a", "b", "c"].map { try Adapter(path: Goldens.path("merging/\($0).safetensors")) }
    var recipe = RefactorRecipe.merge(files, [1, 1, 1])
    recipe.method = Slerp()
    #expect(throws: FactoringError.self) { try RefactorPlan(recipe) }
    for rule: RankRule in [.exact, .energy(0.9), .maxError(0.1)] {
      recipe.method = Ties()
      recipe.rule = rule
      #expect(throws: FactoringError.self) { try RefactorPlan(recipe) }
    }
  }

  @Test("The file says what it was made by")
  func metadata() throws {
    var recipe = try Golden.stored.cases[1].recipe
    recipe.method = Ties(density: 0.2)
    let folder = try TemporaryFolder(), run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    #expect(run.output[metadata: "lathe.recipe"]?.contains("\"ties\":{\"density\":0.2}") == true)
  }
}
