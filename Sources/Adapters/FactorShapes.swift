package import Tensors

/// Which shapes of factors fit together.
package enum FactorShapes {
  /// What is wrong with a target's factor shapes, or `nil`.
  package static func fault(up: Shape, down: Shape, mid: Shape?) -> AdapterProblem.Kind? {
    guard down.rank >= 2, down.rank <= 5 else {
      return .factorShape(expected: "a down factor with 2 to 5 axes", found: "\(down)")
    }
    guard up.rank >= 2, up.rank <= 5 else {
      return .factorShape(expected: "an up factor with 2 to 5 axes", found: "\(up)")
    }
    guard up.extents.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      return .factorShape(expected: "an up factor without a kernel", found: "\(up)")
    }
    guard up.elementCount > 0, down.elementCount > 0 else {
      return .factorShape(expected: "factors with elements", found: "up \(up), down \(down)")
    }
    guard let mid else {
      return up[1] == down[0]
        ? nil : .factorShape(expected: "equal ranks of both factors", found: "up \(up), down \(down)")
    }
    guard down.extents.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      return .factorShape(expected: "a down factor without a kernel beside a mid factor", found: "\(down)")
    }
    guard mid.rank >= 3, mid[0] == up[1], mid[1] == down[0], mid.elementCount > 0 else {
      return .factorShape(expected: "a mid factor of [\(up[1]), \(down[0]), kernel]", found: "\(mid)")
    }
    return nil
  }
}
