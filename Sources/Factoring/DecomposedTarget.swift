package import LinearAlgebra
package import Spectra

/// The decomposition of one target's delta into components: its singular triples, or what carries most for the inputs of its
/// layer.
package struct DecomposedTarget: Sendable {
  /// Of the delta, without values that only rounding made.
  package let spectrum: Spectrum
  /// What each component counts: its root is what `spectrum` has where nothing is weighed.
  package private(set) var cost: Spectrum
  /// How much smaller the squared error gets with each component.
  private var energies: [Double]
  /// The squared error that no component makes smaller.
  package private(set) var outside: Double
  /// What an error counts, all inputs alike.
  package let factor: Double
  /// ‖Δ‖_F.
  package let norm: Double
  /// What a method has made of the deltas, where it is kept: it is made again if it would take too much memory.
  package let merged: MergedDelta?
  /// The largest singular value that is written; `nil` for what there is.
  package private(set) var ceiling: Double?
  /// ‖·‖² of each adapter's own term at strength 1.
  package let termEnergies: [Double]
  private var form: Form

  /// What the decomposition was made by.
  private enum Form: Sendable {
    /// A singular value decomposition of the core.
    ///
    /// - maps: to all of the spectrum's triples; `nil` when they would take too much memory, and where components are weighed.
    /// - inners: for each term the inner product of its own delta at strength 1 with each component of the sum.
    case triples(maps: FactorMaps?, inners: [[Double]])
    /// Inner products, which any number of leading components can be made from; `nil` when they would take too much memory.
    case products(ProductSpectrum?, strengths: [Double])
    /// The matrix itself, with as many leading vectors of its shorter side as there is memory for.
    case dense(DenseSpectrum)
  }

  /// - Parameters:
  ///   - measure: what errors count; `nil` for their size.
  ///   - alike: as `ErrorWeighing.alike`.
  ///   - byProducts: whether a faster way will do, which sees the smallest components less exactly.
  ///   - vectors: how many singular vectors are kept of a delta that has no factors.
  ///   - keepingMaps: whether there is memory for what the factors will be made with.
  package init(
    _ merged: MergedDelta, measure: ErrorWeighing.Measure? = nil, alike: Double = 0, byProducts: Bool,
    vectors: Int, keepingMaps: Bool,
    _ workspace: FactorWorkspace
  ) throws {
    let delta = merged.sum
    if delta.isDense, !merged.isNew, measure?.moments == nil {
      let (spectrum, energies) = try delta.denseSpectrum(vectors: vectors, in: workspace)
      self.init(spectrum, energies, of: merged, measure)
      return
    }
    let products =
      try byProducts && !merged.isNew
      ? ProductSpectrum(
        delta.grams(in: workspace), weights: delta.weights, parts: delta.ranges,
        moments: measure?.moments.map { ($0, alike) }) : nil
    if let products {
      self.init(products, of: merged, measure, keepingMaps: keepingMaps)
    } else {
      try self.init(delta.core(in: workspace), of: merged, measure, alike: alike, keepingMaps: keepingMaps)
    }
  }

  private init(
    _ core: ProductCore, of merged: MergedDelta, _ measure: ErrorWeighing.Measure?, alike: Double, keepingMaps: Bool
  ) throws {
    let delta = merged.sum, scale = measure?.factor.squareRoot() ?? 1, count = delta.valueCount
    let decomposition = try core.decomposed(weights: delta.weights)
    let rank = decomposition.numericalRank(rows: delta.rows, columns: delta.columns)
    let none = Array(repeating: 0.0, count: count - rank)
    let spectrum = Spectrum(Array(decomposition.values.prefix(rank)) + none)
    self.spectrum = spectrum
    (outside, factor, norm) = (merged.outside, measure?.factor ?? 1, (spectrum.energy + merged.outside).squareRoot())
    self.merged = merged.isNew && keepingMaps ? merged : nil
    let own = merged.own.map { core.core(weights: delta.weights(ofTerm: $0)) }
    termEnergies = own.map { $0.inner($0) }
    guard let moments = measure?.moments, rank > 0 else {
      cost = Spectrum(spectrum.singularValues.map { scale * $0 })
      energies = spectrum.singularValues.map { $0 * $0 }
      form = .triples(
        maps: keepingMaps ? decomposition.factorMaps(rank: rank) : nil,
        inners: own.map { zip(decomposition.values, decomposition.projections(of: $0)).map(*) })
      return
    }
    let directions = try core.outputDirections(weights: delta.weights, moments: moments, alike: alike)
    cost = Self.cost(directions.values, rank: rank, count: count, scale: scale)
    let left = try directions.leading(rank), image = left.transposedTimes(core.core(weights: delta.weights))
    energies = image.rowProducts(image)
    form = .triples(maps: nil, inners: own.map { left.transposedTimes($0).rowProducts(image) })
  }

  private init(
    _ products: ProductSpectrum, of merged: MergedDelta, _ measure: ErrorWeighing.Measure?, keepingMaps: Bool
  ) {
    let delta = merged.sum, scale = measure?.factor.squareRoot() ?? 1, count = delta.valueCount
    let none = Array(repeating: 0.0, count: count - products.values.count)
    spectrum = Spectrum(products.values + none)
    cost = Self.cost(products.carried, rank: products.values.count, count: count, scale: scale)
    energies = products.energies
    (outside, factor, norm) = (merged.outside, measure?.factor ?? 1, (spectrum.energy + merged.outside).squareRoot())
    self.merged = nil
    let strengths = delta.terms.map(\.strength)
    termEnergies = zip(products.partEnergies, strengths).map { $1 == 0 ? 0 : $0 / ($1 * $1) }
    form = .products(keepingMaps ? products : nil, strengths: strengths)
  }

  private init(
    _ dense: DenseSpectrum, _ termEnergies: [Double], of merged: MergedDelta, _ measure: ErrorWeighing.Measure?
  ) {
    let scale = measure?.factor.squareRoot() ?? 1
    spectrum = Spectrum(dense.values)
    cost = Spectrum(dense.values.map { scale * $0 })
    energies = dense.values.map { $0 * $0 }
    (outside, factor, norm) = (merged.outside, measure?.factor ?? 1, (spectrum.energy + merged.outside).squareRoot())
    self.merged = nil
    self.termEnergies = termEnergies
    form = .dense(dense)
  }

  /// - Parameter carried: by each direction, descending.
  private static func cost(_ carried: [Double], rank: Int, count: Int, scale: Double) -> Spectrum {
    // What no input reaches is kept last, and has a cost all the same: a rank of 0 means that there is nothing.
    let floor = (carried.first ?? 0) * 0x1p-40
    return Spectrum(carried.prefix(rank).map { scale * max($0, floor) } + Array(repeating: 0, count: count - rank))
  }

  /// ‖Δ − Δ'‖_F when the first `rank` components are kept.
  package func tailNorm(afterRank rank: Int) -> Double {
    // Small values first: the sum keeps their digits.
    (energies.dropFirst(rank).reversed().reduce(0, +) + outside).squareRoot()
  }

  /// What no other choice of as many components could take more of, whatever errors count: the singular values, as far as
  /// they are written.
  var sizes: Spectrum { ceiling == nil ? spectrum : Spectrum(energies.map { $0.squareRoot() }) }

  /// Whether its components are known to be independent: the delta has no smaller rank than there are components that are not zero.
  package var isIndependent: Bool { if case .products = form { true } else { false } }

  /// The inner products that it was decomposed by; `nil` where it was not, or they are forgotten.
  package var products: ProductSpectrum? { if case .products(let products, _) = form { products } else { nil } }

  /// Of a delta without factors what is known of its components; `nil` for others.
  var dense: DenseSpectrum? { if case .dense(let spectrum) = form { spectrum } else { nil } }

  /// Whether it is to be made anew before components of it can be had.
  package var isForgotten: Bool {
    if case .products(nil, _) = form { true } else { false }
  }

  /// The maps to the leading triples, where they are known.
  package var maps: FactorMaps? {
    if case .triples(let maps, _) = form { maps } else { nil }
  }

  /// The leading components by inner products, with what `inners(rank:)` says of them.
  ///
  /// - Returns: `nil` where the delta was not decomposed that way, or the smallest of them is too small for it.
  package func cut(to rank: Int) throws -> (maps: FactorMaps, inners: [Double])? {
    guard case .products(let products?, let strengths) = form, let cut = try products.cut(to: rank) else { return nil }
    return (cut.maps, zip(cut.inners, strengths).map { $1 == 0 ? 0 : $0 / $1 })
  }

  /// ⟨D_t, S_k⟩ for each term, S_k being the sum cut to `rank` components.
  ///
  /// - Precondition: it is not forgotten, and has factors.
  package func inners(rank: Int) throws -> [Double] {
    switch form {
    case .triples(_, let inners): return inners.map { $0.prefix(rank).reduce(0, +) }
    case .products(let products, let strengths):
      guard let products else { preconditionFailure("what was forgotten is asked for") }
      let inners = try products.inners(rank: rank)
      return zip(inners, strengths).map { $1 == 0 ? 0 : $0 / $1 }
    case .dense: preconditionFailure("what is not known without the delta is asked for")
    }
  }

  // MARK: Clipping

  /// The same with singular values no larger than `ceiling`: σ is written as min(σ, c), which leaves an error of (σ − c)² in a
  /// component that is kept.
  ///
  /// - Precondition: its components are its singular triples, not by products of factors.
  func clipped(at ceiling: Double) -> DecomposedTarget {
    let values = spectrum.singularValues
    guard let largest = values.first, largest > ceiling else { return self }
    var clipped = self
    clipped.ceiling = ceiling
    clipped.energies = values.map { $0 > ceiling ? ceiling * (2 * $0 - ceiling) : $0 * $0 }
    clipped.cost = Spectrum(clipped.energies.map { (factor * $0).squareRoot() })
    clipped.outside += values.reduce(0) { $0 + max(0, $1 - ceiling) * max(0, $1 - ceiling) }
    switch form {
    case .triples(let maps, let inners):
      clipped.form = .triples(
        maps: maps, inners: inners.map { zip($0, values).map { $0 * min(1, ceiling / $1) } })
    case .dense: break
    case .products: preconditionFailure("components that cannot be clipped")
    }
    return clipped
  }

  /// What the maps of the leading components are multiplied by, on each side; `nil` where nothing is clipped.
  func mapFactors(rank: Int) -> [Double]? {
    ceiling.map { ceiling in spectrum.singularValues.prefix(rank).map { min(1, ceiling / $0).squareRoot() } }
  }
}
