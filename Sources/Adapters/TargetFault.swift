import Tensors

/// What is wrong with a target's tensors.
struct TargetFault: Error {
  let kind: AdapterProblem.Kind

  static func missing(_ name: String) -> TargetFault { TargetFault(kind: .missingFactor(expected: name)) }

  static func shape(_ expected: String, _ found: String) -> TargetFault {
    TargetFault(kind: .factorShape(expected: expected, found: found))
  }

  static func disagreement(_ a: Tensor, _ b: Tensor) -> TargetFault {
    shape("equal ranks of both factors", "\(a.shape) and \(b.shape)")
  }

  /// The tensor called `name`, which must be a matrix with elements.
  static func matrix(_ name: String, _ parts: [String: Tensor]) throws(TargetFault) -> Tensor {
    guard let tensor = parts[name] else { throw missing(name) }
    let isMatrix = tensor.shape.rank >= 2 && tensor.shape.extents.dropFirst(2).allSatisfy { $0 == 1 }
    guard isMatrix, tensor.elementCount > 0 else { throw shape("\(name) as a matrix", "\(tensor.shape)") }
    return tensor
  }
}
