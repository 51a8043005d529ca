package import Spectra
public import Tensors

/// How many components of each target are kept.
public enum RankRule: Sendable, Equatable {
  /// All that the delta has: an exact result of minimal rank.
  case exact
  /// The same rank everywhere, and another for convolutions with a kernel if given.
  case rank(Int, conv: Int?)
  /// In each target the smallest rank that keeps this share of its energy.
  case energy(Double)
  /// The smallest file whose relative error, over all targets together, is not above this.
  case maxError(Double)
  /// The smallest error of a file that is not larger than this.
  case size(ByteCount)
  /// So many components of all targets together, most gain per byte first.
  case components(Int)
  /// Kohya's rule: singular values above the largest divided by this.
  case svRatio(Double)
  /// Kohya's rule: the smallest rank with ‖Δ_k‖_F ≥ this · ‖Δ‖_F (energy of its square).
  case svFrobenius(Double)
  /// Kohya's rule: the smallest rank whose singular values sum to this share of all.
  case svCumulative(Double)

  /// The rank for one target, or `nil` for rules that look at the whole file.
  ///
  /// - Parameter countsLikeKohya: keeps the one rank too many that kohya's resize script kept until 2026.
  package func rank(for spectrum: Spectrum, isConvolution: Bool, countsLikeKohya: Bool) -> Int? {
    let values = spectrum.singularValues
    let available = values.count { $0 > 0 }
    guard available > 0 else { return self.looksAtWholeFile ? nil : 0 }
    func kohya(_ count: Int) -> Int {
      countsLikeKohya ? min(max(count, 1), max(values.count - 1, 1)) + 1 : max(count, 1)
    }
    let wanted: Int
    switch self {
    case .exact: wanted = available
    case .rank(let rank, let conv): wanted = isConvolution ? conv ?? rank : rank
    case .energy(let share): wanted = spectrum.rank(keepingEnergy: share)
    case .svRatio(let ratio): wanted = kohya(values.count { $0 > values[0] / ratio })
    case .svFrobenius(let share): wanted = kohya(spectrum.rank(keepingEnergy: share * share))
    case .svCumulative(let share): wanted = kohya(Self.rank(keepingSum: share, of: values))
    case .maxError, .size, .components: return nil
    }
    return min(wanted, available)
  }

  /// Whether targets compete for what is kept, so that it counts how errors in them are weighed.
  public var looksAtWholeFile: Bool {
    switch self {
    case .maxError, .size, .components: true
    default: false
    }
  }

  /// Whether it leaves components out of most targets: it does not have to, but that is what it is for.
  package var cuts: Bool {
    switch self {
    case .exact: false
    case .energy(let share), .svFrobenius(let share), .svCumulative(let share): share < 1
    default: true
    }
  }

  private static func rank(keepingSum share: Double, of values: [Double]) -> Int {
    guard share < 1 else { return values.count { $0 > 0 } }
    let needed = share * values.reduce(0, +)
    var sum = 0.0
    for (index, value) in values.enumerated() {
      guard sum < needed else { return index }
      sum += value
    }
    return values.count
  }

  /// For example `size 20000000`; part of the recipe that outputs carry.
  public var description: String {
    switch self {
    case .exact: "exact"
    case .rank(let rank, let conv): conv.map { "rank \(rank), conv rank \($0)" } ?? "rank \(rank)"
    case .energy(let share): "energy \(share)"
    case .maxError(let error): "max-error \(error)"
    case .size(let size): "size \(size.bytes)"
    case .components(let count): "components \(count)"
    case .svRatio(let value): "sv-ratio \(value)"
    case .svFrobenius(let value): "sv-fro \(value)"
    case .svCumulative(let value): "sv-cumulative \(value)"
    }
  }
}

/// What an error in one target counts against an error in another.
public enum Weighing: String, Sendable, CaseIterable {
  /// By its size: the relative error of the whole file is what is made small.
  case absolute
  /// Relative to each target's own delta, so that weak targets are kept as well as strong ones.
  case perTarget = "per-target"
  /// Relative to the weight of the base that the target changes.
  case base
  /// By what it does to pictures: for the inputs that the layer has while the adapted model draws, and by how sensitive the base
  /// is there.
  case pictures

  /// Whether it needs an `ErrorWeighing`.
  public var needsMeasures: Bool { self == .base || self == .pictures }
}
