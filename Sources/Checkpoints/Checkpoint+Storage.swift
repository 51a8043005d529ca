import Tensors

extension Checkpoint {
  /// Whether the matrices of a module are stored as (inputs, outputs), as GPT-2 and its kin do, unlike everybody else.
  ///
  /// - Parameter module: the module's name with dots: `transformer.h.0.attn.c_attn`.
  public func storesTransposed(module: String) -> Bool {
    model?.storesTransposed("_" + module.underscored) ?? false
  }
}
