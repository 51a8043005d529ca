import Adapters
import Factoring
import Merging
import TestSupport

/// One run from recipe to file.
struct Refactoring {
  let plan: RefactorPlan
  let decomposed: DecomposedPlan
  let allocation: RankAllocation
  let result: RefactorResult
  /// The output, read again.
  let output: Adapter

  init(_ recipe: RefactorRecipe, to path: String, overwriting: Bool = false, threads: Int = 2) throws {
    plan = try RefactorPlan(recipe)
    decomposed = try DecomposedPlan(plan, threads: threads)
    allocation = try decomposed.allocation()
    result = try decomposed.write(allocation, to: path, overwriting: overwriting, threads: threads)
    output = try Adapter(path: path)
  }
}

extension RefactorRecipe {
  static func resize(_ path: String, _ rule: RankRule) -> RefactorRecipe {
    RefactorRecipe(.resize, inputs: [.init(path: path)], rule: rule)
  }

  /// A merge of adapters, all with their strengths.
  static func merge(_ adapters: [Adapter], _ strengths: [Double], _ rule: RankRule = .exact) -> RefactorRecipe {
    RefactorRecipe(
      .merge, inputs: zip(adapters, strengths).map { .init(path: $0.path, strength: $1) }, rule: rule)
  }
}

extension MergeMethods.Choice {
  /// With its usual settings.
  func makeProtectingFirst() -> any MergeMethod {
    var settings = MergeMethods.Settings()
    settings.protected = [0]
    return make(settings)
  }
}
