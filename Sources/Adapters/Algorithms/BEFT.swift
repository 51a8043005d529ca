import Tensors

extension StoredAlgorithm {
  /// BEFT: what is added to biases, and nothing else.
  ///
  /// Source: PEFT 0.21 (`tuners/beft/layer.py`).
  static let beft = StoredAlgorithm(algorithm: .beft, type: "BEFT", tensors: ["beft_bias"]) {
    parts throws(TargetFault) in
    guard let bias = parts.tensors["beft_bias"] else { throw TargetFault.missing("beft_bias") }
    guard bias.elementCount > 0, bias.shape.extents.max() == bias.elementCount else {
      throw TargetFault.shape("beft_bias as a vector", "\(bias.shape)")
    }
    return StoredChange(
      bias: .vector(Tensor(dtype: bias.dtype, shape: [bias.elementCount], bytes: bias.bytes)))
  }
}
