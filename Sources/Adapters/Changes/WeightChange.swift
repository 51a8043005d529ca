import Tensors

/// A change of a weight that depends on the weight itself: W ↦ W₁, other than by adding a matrix that the file holds.
///
/// Matrices are seen as rows (outputs) × inputs × kernel, whichever way round the base stores them.
protocol WeightChange: Sendable {
  /// What is wrong with a weight of this size, or `nil`.
  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind?

  /// The factors of a delta which, times `strength`, is what becomes of `weight` at that strength.
  ///
  /// - Parameters:
  ///   - weight: of a size that `fault` has nothing to say about.
  ///   - strength: not zero. By `StrengthRule.linear` the delta does not depend on it.
  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors

  /// The same change where the weight that it reads besides is known: a bias' may depend on that of its layer.
  func given(_ other: ComposedFactors.Block) -> any WeightChange

  /// What is wrong with such another weight of this size, or `nil`.
  func fault(given rows: Int, inputs: Int) -> AdapterProblem.Kind?
}

extension WeightChange {
  func given(_ other: ComposedFactors.Block) -> any WeightChange { self }
  func fault(given rows: Int, inputs: Int) -> AdapterProblem.Kind? { nil }
}

/// How the strength of an adapter enters a change that is no mere sum. Programs disagree; at strength 1 only `comfy` and
/// `a1111` differ from the trainers.
public enum StrengthRule: String, Sendable, CaseIterable {
  /// W + s·(W₁ − W), W₁ being what the trainer meant.
  case linear
  /// LyCORIS' own multiplier.
  case lycoris
  /// PEFT's scaling of the low-rank part alone.
  case peft
  /// ComfyUI: DoRA over outputs is divided by the base's norms; rotations count the strength twice.
  case comfy
  /// A1111, Forge, InvokeAI: DoRA's norms are always those of the inputs.
  case a1111
}

extension WeightChange {
  /// The problem of a weight that has not the size which the file's tensors are for.
  func misfit(_ expected: String, _ rows: Int, _ inputs: Int, _ kernel: [Int]) -> AdapterProblem.Kind {
    .factorShape(expected: expected, found: "\(Shape([rows, inputs] + kernel))")
  }
}
