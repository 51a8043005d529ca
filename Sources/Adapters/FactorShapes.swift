package import Tensors

/// Which shapes of factors fit together.
package enum FactorShapes {
  /// The elements of the largest weights that adapters change. Factors of few bytes can be made to multiply to any number.
  static let mostElements = 1 << 30

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
    guard isPossible([mid[0], down[1]] + mid.extents.dropFirst(2)) else {
      return .factorShape(expected: "a product of at most \(mostElements) elements", found: "mid \(mid), down \(down)")
    }
    return nil
  }

  /// Whether a weight, or a product on the way to it, can be of this shape.
  static func isPossible(_ extents: [Int]) -> Bool {
    Shape.elementCount(of: extents).map { $0 <= mostElements } ?? false
  }
}
