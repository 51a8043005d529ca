/// The directions of a product's outputs by what they carry for the inputs that a layer really has: those of U that make
/// E‖D·x − U·Uᵀ·D·x‖² smallest for every number of them.
///
/// With G = E[x·xᵀ] they are the eigenvectors of D·G·Dᵀ; of G only its image under `down` is needed (`InputMoments`). Cutting
/// to the first k is a projection of D whatever G is, so the error in the weights is known too:
/// ‖D − U·Uᵀ·D‖² = ‖D‖² − ‖Uᵀ·D‖².
public struct OutputDirections: Sendable {
  /// √E‖uᵢᵀ·D·x‖² for each direction, descending.
  public let values: [Double]
  private let eigen: SymmetricEigenvalues?
  private let order: Int

  /// - Parameters:
  ///   - seen: E[y·yᵀ] of the outputs y for the inputs that were seen.
  ///   - alike: the same for inputs that are all alike.
  ///   - share: of `alike` in the measure of what comes out.
  init(seen: Matrix, alike: Matrix, share: Double) throws(LinearAlgebraError) {
    order = seen.rows
    guard order > 0 else {
      (eigen, values) = (nil, [])
      return
    }
    let amount = seen.trace, whole = alike.trace
    guard amount.isFinite, whole.isFinite else { throw LinearAlgebraError(.notFinite) }
    let mixed = amount > 0 && whole > 0 ? (1 - share) * seen + (share * amount / whole) * alike : alike
    let eigen = try SymmetricEigenvalues(upper: mixed.elements, order: order)
    self.eigen = eigen
    values = eigen.values.map { max(0, $0).squareRoot() }
  }

  /// The leading directions in the coordinates of the core's rows: p × count, with orthonormal columns.
  public func leading(_ count: Int) throws(LinearAlgebraError) -> Matrix {
    try eigen?.leadingVectors(count).transposed ?? Matrix(zeros: order, 0)
  }
}

extension ProductCore {
  /// The directions of up · diag(weights) · down by what they carry.
  ///
  /// - Parameters:
  ///   - moments: E[(down·x)·(down·x)ᵀ], components × components. Where they say that nothing comes through, all inputs count alike.
  ///   - share: how much of the measure is that of inputs that are all alike, 0 to 1: few samples leave directions unseen
  ///     that others will use. It is a share of what comes out, so that it does not depend on how the factors are gauged.
  public func outputDirections(
    weights: [Double], moments: Matrix, alike share: Double
  ) throws(LinearAlgebraError) -> OutputDirections {
    precondition(moments.rows == componentCount && moments.columns == componentCount, "moments of other components")
    let core = core(weights: weights)
    return try OutputDirections(
      seen: outputMoments(weights: weights, inputs: moments), alike: core.timesTransposed(core), share: share)
  }
}

extension Matrix {
  /// ⟨aᵢ, bᵢ⟩ for each pair of rows.
  package func rowProducts(_ other: Matrix) -> [Double] {
    (0..<rows).map { i in (0..<columns).reduce(0) { $0 + self[i, $1] * other[i, $1] } }
  }

  /// The sum of the diagonal.
  public var trace: Double { diagonal.reduce(0, +) }
}
