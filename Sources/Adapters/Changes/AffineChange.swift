import LinearAlgebra
import Tensors

/// A weight's numbers multiplied and added to, one by one: ΔW = W ⊙ A + B.
struct AffineChange: WeightChange {
  /// A matrix in one of the forms in which files have it.
  enum Part: Sendable {
    case nothing
    case product(up: Tensor, down: Tensor)
    /// One for each row.
    case rows(Tensor)
    case number(Tensor)
  }

  let factor: Part
  let added: Part

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    for part in [factor, added] where !part.fits(rows: rows, columns: inputs * kernel.reduce(1, *)) {
      return misfit(part.expected, rows, inputs, kernel)
    }
    return nil
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns) = (weight.rows, weight.columns)
    return ComposedFactors(
      whole: weight.mapping { base in
        let a = factor.values(rows: rows, columns: columns), b = added.values(rows: rows, columns: columns)
        return base.indices.map { base[$0] * a($0) + b($0) }
      })
  }
}

extension AffineChange.Part {
  /// - Throws: the problem with the tensors of this name.
  init(_ name: String, _ parts: AlgorithmParts) throws(TargetFault) {
    if parts.tensors["\(name).Xd"] != nil || parts.tensors["\(name).Xu"] != nil {
      let pair = try parts.pair(up: "\(name).Xd", down: "\(name).Xu")
      guard pair.up.shape.rank == 2, pair.down.shape.rank == 2 else {
        throw TargetFault.shape("\(name) of two matrices", "\(pair.up.shape) and \(pair.down.shape)")
      }
      self = .product(up: pair.up, down: pair.down)
    } else if let numbers = parts.tensors["\(name).X"] {
      guard numbers.elementCount > 0 else { throw TargetFault.shape("\(name).X with numbers", "\(numbers.shape)") }
      self = numbers.elementCount == 1 && numbers.shape.rank < 2 ? .number(numbers) : .rows(numbers)
    } else {
      self = .nothing
    }
  }

  var isNothing: Bool { if case .nothing = self { true } else { false } }
  var rank: Int? { if case .product(let up, _) = self { up.shape[1] } else { nil } }
  var inputs: Int? { if case .product(_, let down) = self { down.shape[1] } else { nil } }

  func fits(rows: Int, columns: Int) -> Bool {
    switch self {
    case .nothing, .number: true
    case .product(let up, let down): up.shape[0] == rows && down.shape[1] == columns
    case .rows(let numbers): numbers.elementCount == rows
    }
  }

  /// What fits, in a message's words.
  var expected: String {
    switch self {
    case .nothing, .number: "any size"
    case .product(let up, let down): "\(up.shape[0]) rows and \(down.shape[1]) columns"
    case .rows(let numbers): "\(numbers.elementCount) rows"
    }
  }

  /// The numbers by their place, row by row.
  func values(rows: Int, columns: Int) -> (Int) -> Double {
    switch self {
    case .nothing: return { _ in 0 }
    case .number(let tensor):
      let number = tensor.doubles()[0]
      return { _ in number }
    case .rows(let tensor):
      let numbers = tensor.doubles()
      return { numbers[$0 / columns] }
    case .product(let up, let down):
      let product = reproducibleProduct(
        up.doubles(), down.doubles(), rows: rows, rank: up.shape[1], columns: columns)
      return { product[$0] }
    }
  }
}
