import Tensors

extension StoredAlgorithm {
  /// PEFT's GLoRA, which shares its name with LyCORIS': W₁ = W + W ⊙ A + B, and of the bias b₁ = b + b ⊙ D + E + W·c.
  ///
  /// Each part is a product of two matrices, a number for each row, one number, or nothing.
  ///
  /// Source: PEFT 0.21 (`tuners/glora/layer.py`).
  static let glora = StoredAlgorithm(
    algorithm: .peftGLoRA, type: "GLORA",
    tensors: ["A", "B", "C", "D", "E"].flatMap { part in ["Xd", "Xu", "X", "zeros"].map { "glora_\(part).\($0)" } }
  ) { parts throws(TargetFault) in
    let a = try AffineChange.Part("glora_A", parts), b = try AffineChange.Part("glora_B", parts)
    let c = try AffineChange.Part("glora_C", parts), d = try AffineChange.Part("glora_D", parts)
    let e = try AffineChange.Part("glora_E", parts)
    var result = StoredChange(
      weight: .change(AffineChange(factor: a, added: b)), rank: a.rank ?? b.rank, inputs: a.inputs ?? b.inputs ?? 0)
    if [c, d, e].contains(where: { !$0.isNothing }) {
      result.bias = .change(BiasChange(factor: d, added: e, mixing: c))
      result.biasReadsWeight = !c.isNothing
    }
    return result
  }
}
