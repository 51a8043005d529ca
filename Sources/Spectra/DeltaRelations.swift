import LinearAlgebra

/// What the deltas of several adapters at one weight are to each other. Adapters are told by their places; one without a
/// delta there has zero.
protocol DeltaRelations {
  /// ⟨D_s, D_t⟩.
  func inner(_ s: Int, _ t: Int) -> Double
  /// ‖D_s‖_F.
  func norm(_ s: Int) -> Double
  /// ‖D_s − D_t‖_F.
  func distance(_ s: Int, _ t: Int) -> Double
  /// σ₁(D_s).
  func spectralNorm(_ s: Int) throws -> Double
  /// σ₁(D_s − D_t).
  func spectralDistance(_ s: Int, _ t: Int) throws -> Double
  /// ‖D_sᵀD_t‖²_F: what is written to the same outputs.
  func sharedOutput(_ s: Int, _ t: Int) -> Double
  /// ‖D_sD_tᵀ‖²_F: what answers the same inputs.
  func sharedInput(_ s: Int, _ t: Int) -> Double
  /// Cosines of the principal angles between the column spaces, largest first. Both have a delta.
  func outputCosines(_ s: Int, _ t: Int) throws -> [Double]
  /// Cosines of the principal angles between the row spaces, largest first. Both have a delta.
  func inputCosines(_ s: Int, _ t: Int) throws -> [Double]
}

extension DeltaSum {
  /// What the sums of some terms are to each other.
  ///
  /// - Parameter places: the terms of each adapter that has some.
  /// - Throws: `AdapterError` naming the target when a factor holds NaN or infinity.
  func relations(of places: [Int: Range<Int>], in workspace: FactorWorkspace) throws -> any DeltaRelations {
    if places.values.allSatisfy({ $0.count == 1 }), let products = try kroneckerProducts() {
      return KroneckerRelations(delta: self, products: products, terms: places.mapValues(\.lowerBound))
    }
    guard isDense else { return CoreRelations(self, try core(in: workspace), places) }
    return try DenseRelations(
      places.mapValues { try DenseSum(of: DeltaSum(Array(terms[$0])), in: workspace).matrix })
  }
}

/// Of any deltas, from one core that they have in common.
private struct CoreRelations: DeltaRelations {
  private let core: ProductCore
  /// The cores of the adapters' sums.
  private let own: [Int: Matrix]
  private let zero: Matrix
  private let components: [Int: Range<Int>]

  init(_ delta: DeltaSum, _ core: ProductCore, _ places: [Int: Range<Int>]) {
    let cores = delta.terms.indices.map { delta.terms[$0].strength * core.core(weights: delta.weights(ofTerm: $0)) }
    self.core = core
    own = places.mapValues { cores[$0].dropFirst().reduce(cores[$0.lowerBound], +) }
    zero = 0.0 * cores[0]
    components = places.mapValues { delta.ranges[$0.lowerBound].lowerBound..<delta.ranges[$0.last!].upperBound }
  }

  private func delta(_ s: Int) -> Matrix { own[s] ?? zero }

  func inner(_ s: Int, _ t: Int) -> Double { delta(s).inner(delta(t)) }
  func norm(_ s: Int) -> Double { delta(s).frobeniusNorm }
  func distance(_ s: Int, _ t: Int) -> Double { (delta(s) - delta(t)).frobeniusNorm }
  func spectralNorm(_ s: Int) throws -> Double { try SingularValues.values(of: delta(s)).first ?? 0 }
  func spectralDistance(_ s: Int, _ t: Int) throws -> Double {
    try SingularValues.values(of: delta(s) - delta(t)).first ?? 0
  }
  func sharedOutput(_ s: Int, _ t: Int) -> Double { delta(s).transposedTimes(delta(t)).square }
  func sharedInput(_ s: Int, _ t: Int) -> Double { delta(s).timesTransposed(delta(t)).square }
  func outputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try PrincipalAngles.cosines(
      core.upCoordinates(of: components[s]!), core.upCoordinates(of: components[t]!))
  }
  func inputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try PrincipalAngles.cosines(
      core.downCoordinates(of: components[s]!), core.downCoordinates(of: components[t]!))
  }
}

/// Of whole Kronecker products of equal shapes, one of each adapter: from their matrices, which are far smaller than any core.
private struct KroneckerRelations: DeltaRelations {
  let delta: DeltaSum
  let products: KroneckerProducts
  /// The term of each adapter that has one.
  let terms: [Int: Int]

  /// What the adapter's term is multiplied by, less what another's is; zero for all other terms.
  private func weights(_ s: Int, minus t: Int? = nil) -> [Double] {
    delta.terms.indices.map { term in
      let size = delta.terms[term].strength * delta.terms[term].target.scale
      return (terms[s] == term ? size : 0) - (t.flatMap { terms[$0] } == term ? size : 0)
    }
  }

  private func matrices(_ s: Int) -> (first: Matrix, second: Matrix) {
    let pair = delta.terms[terms[s]!].target.kronecker!
    return (pair.first.matrix, pair.second.matrix)
  }

  private func core(_ s: Int) -> Matrix { products.core(weights: weights(s)) }
  private func size(_ s: Int) -> Double { weights(s).reduce(0, +) }

  func inner(_ s: Int, _ t: Int) -> Double { core(s).inner(core(t)) }
  func norm(_ s: Int) -> Double { core(s).frobeniusNorm }
  func distance(_ s: Int, _ t: Int) -> Double { (core(s) - core(t)).frobeniusNorm }
  func spectralNorm(_ s: Int) throws -> Double { try products.spectralNorm(weights: weights(s)) }
  func spectralDistance(_ s: Int, _ t: Int) throws -> Double {
    try products.spectralNorm(weights: weights(s, minus: t))
  }

  // (A ⊗ B)ᵀ(C ⊗ D) = AᵀC ⊗ BᵀD, whose norm is the product of the norms.
  func sharedOutput(_ s: Int, _ t: Int) -> Double {
    shared(s, t) { $0.transposedTimes($1).square }
  }
  func sharedInput(_ s: Int, _ t: Int) -> Double {
    shared(s, t) { $0.timesTransposed($1).square }
  }
  private func shared(_ s: Int, _ t: Int, _ square: (Matrix, Matrix) -> Double) -> Double {
    guard terms[s] != nil, terms[t] != nil else { return 0 }
    let (a, b) = (matrices(s), matrices(t)), size = size(s) * size(t)
    return size * size * square(a.first, b.first) * square(a.second, b.second)
  }

  // Spaces of Kronecker products are spanned by the products of their matrices' vectors.
  func outputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try cosines(s, t) { $0 }
  }
  func inputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try cosines(s, t, \.transposed)
  }
  private func cosines(_ s: Int, _ t: Int, _ columns: (Matrix) -> Matrix) throws -> [Double] {
    let (a, b) = (matrices(s), matrices(t))
    let first = try PrincipalAngles.cosines(columns(a.first), columns(b.first))
    let second = try PrincipalAngles.cosines(columns(a.second), columns(b.second))
    return first.flatMap { x in second.map { x * $0 } }.sorted(by: >)
  }
}

extension Matrix {
  /// ‖A‖²_F.
  fileprivate var square: Double { inner(self) }
}
