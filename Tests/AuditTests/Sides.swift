import Adapters
import Baking
import Checkpoints
import Factoring
import Merging
import Tensors
import TestSupport

@testable import Audit

/// The example model with what an audit compares on it.
struct Sides {
  let base: Checkpoint

  init() throws { base = try Checkpoint(path: Goldens.example("Toybox/model")) }

  static func adapter(_ name: String) -> String { Goldens.example("Toybox/adapters/\(name).safetensors") }

  func side(_ inputs: AdapterInput...) throws -> AuditSide { try AuditSide(inputs, base: base) }

  /// Writes a resize of an adapter.
  func resized(_ name: String, _ rule: RankRule, dtype: DType? = nil, in folder: TemporaryFolder) throws -> String {
    let plan = try RefactorPlan(
      RefactorRecipe(.resize, inputs: [.init(path: Self.adapter(name))], rule: rule, dtype: dtype))
    let decomposed = try DecomposedPlan(plan, threads: 2), path = folder.file("\(name)-\(rule.description).safetensors")
    _ = try decomposed.write(decomposed.allocation(), to: path, overwriting: false, threads: 2)
    return path
  }

  /// Bakes adapters into a copy of the base.
  func baked(_ inputs: [AdapterInput], dtype: DType, in folder: TemporaryFolder) throws -> String {
    let path = folder.file("baked-\(dtype.rawValue)")
    let plan = try BakePlan(BakeRecipe(base: base.path, inputs: inputs, dtype: dtype))
    _ = try plan.write(to: path, undo: nil, overwriting: false, threads: 2)
    return path
  }
}
