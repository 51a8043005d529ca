import Adapters
import Baking
public import Checkpoints
public import LinearAlgebra
import Models
public import Tensors

/// How far two sides are from each other in what they add to each weight of the base.
///
/// With W a weight of the base, D what is added to it before and D' after: sums over the elements, in double precision. D is
/// the adapters' delta as the engine computes it, or what a checkpoint's weight has more than the base's.
public struct WeightComparison: Sendable {
  /// Sums over the elements of a weight, or of several.
  public struct Sums: Sendable {
    /// ‖W‖².
    public internal(set) var baseEnergy = 0.0
    /// ‖D‖².
    public internal(set) var energyBefore = 0.0
    /// ‖D'‖².
    public internal(set) var energyAfter = 0.0
    /// ⟨D, D'⟩.
    public internal(set) var inner = 0.0
    /// ‖D − D'‖².
    public internal(set) var difference = 0.0
    /// ‖D − D″‖², D″ being what is left of D when W + D is rounded to 16 bits.
    public internal(set) var roundingEnergy = 0.0
    /// Numbers of D that are NaN or infinite. Neither they nor up to seven beside them are in a sum of D or D'.
    public internal(set) var notFiniteBefore = 0
    /// Numbers of D' that are NaN or infinite. Neither they nor up to seven beside them are in a sum of D or D'.
    public internal(set) var notFiniteAfter = 0

    static func += (total: inout Sums, part: Sums) {
      total.baseEnergy += part.baseEnergy
      total.energyBefore += part.energyBefore
      total.energyAfter += part.energyAfter
      total.inner += part.inner
      total.difference += part.difference
      total.roundingEnergy += part.roundingEnergy
      total.notFiniteBefore += part.notFiniteBefore
      total.notFiniteAfter += part.notFiniteAfter
    }

    /// ‖D − D'‖ ÷ ‖D‖; infinite where only D' is not zero.
    public var relativeError: Double { difference == 0 ? 0 : (difference / energyBefore).squareRoot() }
    /// ‖D − D'‖ ÷ ‖W‖
    public var baseRelativeError: Double { difference == 0 ? 0 : (difference / baseEnergy).squareRoot() }
    /// The strength at which D stands in D'. What was cut off does not count (‖D'‖² ÷ ⟨D, D'⟩ is 1 for every truncation), nor
    /// does noise that came with it (⟨D, D'⟩ ÷ ‖D‖²). 0 where D' is.
    public var scale: Double {
      energyAfter == 0 ? 0 : energyAfter <= energyBefore ? energyAfter / inner : inner / energyBefore
    }
    /// ⟨D, D'⟩ ÷ ‖D‖‖D'‖; `nil` where one is zero.
    public var cosine: Double? {
      energyBefore > 0 && energyAfter > 0 ? inner / (energyBefore * energyAfter).squareRoot() : nil
    }
    /// The relative error that rounding to 16 bits alone makes.
    public var roundingError: Double { roundingEnergy == 0 ? 0 : (roundingEnergy / energyBefore).squareRoot() }
    /// The same, relative to the base.
    public var baseRoundingError: Double { roundingEnergy == 0 ? 0 : (roundingEnergy / baseEnergy).squareRoot() }
  }

  /// A weight with its sums, whose names it answers to.
  @dynamicMemberLookup public struct Entry: Sendable {
    /// The network and the path in it, as the engine asks for the weight.
    public let name: WeightName
    /// As the base stores it.
    public let shape: Shape
    /// The part of the network: `down_blocks.1`, `text encoder 1`.
    public let block: String
    /// All zero where neither side changes the weight.
    public internal(set) var sums = Sums()
    /// What reading it took.
    fileprivate var times = LoadTimes()

    /// One of the sums: `entry.relativeError`.
    public subscript<Value>(dynamicMember member: KeyPath<Sums, Value>) -> Value { sums[keyPath: member] }

    /// Whether a side adds something, zeros too, so that the sums say something.
    public var isChanged: Bool {
      sums.baseEnergy > 0 || sums.energyBefore > 0 || sums.energyAfter > 0 || sums.notFiniteAfter > 0
    }
  }

  /// The weights that a side changes, in the base's order.
  public let entries: [Entry]
  /// What rounding is measured with, for people: the base's own codes, its 16 bits, or f16.
  public let roundingFormat: String
  /// For reading all weights but the autoencoder's, as the comparison does; the sum over all threads.
  public let times: LoadTimes

  /// What reading weights takes, in seconds.
  public struct LoadTimes: Sendable {
    /// Of the base's weights as numbers.
    public internal(set) var base = 0.0
    /// Of what the side before adds to them.
    public internal(set) var before = 0.0
    /// Of what the side after adds to them.
    public internal(set) var after = 0.0

    static func += (total: inout LoadTimes, part: LoadTimes) {
      total.base += part.base
      total.before += part.before
      total.after += part.after
    }
  }

  /// Reads every weight once.
  ///
  /// - Parameter threads: how many weights are worked on at once; the result does not depend on it.
  /// - Throws: `AuditError.otherModel`, and what reading weights throws.
  public init(before: AuditSide, after: AuditSide, threads: Int, progress: WorkProgress? = nil) throws {
    let base = before.base, names = base.weightNames
    let format = base.usualFormat
    let work = names.map { base.weight(named: $0)!.shape.elementCount }
    let all = try concurrentMap(
      count: names.count, threads: threads, order: names.indices.sorted { (work[$0], $1) > (work[$1], $0) },
      progress: progress, workspace: {}
    ) { index, _ in
      try Self.entry(names[index], before, after, rounding: SumRounding(format)!)
    }
    entries = all.filter(\.isChanged)
    times = all.reduce(into: LoadTimes()) { $0 += $1.times }
    roundingFormat = base.hasCodes ? "the base's own codes" : format.rawValue.lowercased()
  }

  /// How many weights the work is about, for progress.
  public static func count(in base: Checkpoint) -> Int { base.weightNames.count }

  private static func entry(
    _ name: WeightName, _ before: AuditSide, _ after: AuditSide, rounding: SumRounding
  ) throws -> Entry {
    let base = before.base, shape = base.weight(named: name)!.shape
    var entry = Entry(name: name, shape: shape, block: name.block)
    let original = try base.weight(named: name, shape: shape)
    // Of a mapped file no more is held than is worked on.
    defer { original.bytes.forget() }
    // Tables of whole numbers (position ids) are nothing that is added to.
    guard original.dtype.unitRoundoff != nil else { return entry }
    var times = LoadTimes()
    let numbers = timed(&times.base) { original.floats() }
    let old = try timed(&times.before) { try before.change(of: name, shape: shape, from: original) }
    let new = try timed(&times.after) { try after.change(of: name, shape: shape, from: original) }
    // Pictures are decoded by whoever uses the adapters, with an autoencoder of their own.
    if name.component != .vae { entry.times = times }
    guard old != nil || new != nil else { return entry }
    entry.sums = .init(numbers, old, new)
    if let old, entry.sums.notFiniteBefore == 0 {
      entry.sums.roundingEnergy =
        try before.weightInOwnCodes(named: name, shape: shape).map { Self.energy(of: $0.floats(), numbers, old) }
        ?? Self.energy(ofRounding: numbers, old, rounding)
    }
    return entry
  }

  /// ‖stored − (base + delta)‖².
  private static func energy(of stored: [Float], _ base: [Float], _ delta: [Float]) -> Double {
    var energy = 0.0
    for i in stored.indices {
      let error = Double(stored[i]) - Double(base[i]) - Double(delta[i])
      energy += error * error
    }
    return energy
  }

  /// The same of what rounding to the nearest number stores.
  private static func energy(ofRounding base: [Float], _ delta: [Float], _ rounding: SumRounding) -> Double {
    var survival = Survival()
    withUnsafeTemporaryAllocation(byteCount: 2 * base.count, alignment: 64) { target in
      rounding.roundNearest(
        base: base, delta: delta, count: base.count, into: target.baseAddress!, counting: &survival)
    }
    return survival.residualEnergy
  }

  private static func timed<Result>(_ seconds: inout Double, _ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
    return try body()
  }

  // MARK: Totals

  /// Over all `entries`.
  public var total: Sums { entries.lazy.map(\.sums).total }

  /// By block, in the order of the first weight.
  public var blocks: [(name: String, total: Sums)] {
    var order: [String] = [], sums: [String: Sums] = [:]
    for entry in entries {
      if sums[entry.block] == nil { order.append(entry.block) }
      sums[entry.block, default: Sums()] += entry.sums
    }
    return order.map { ($0, sums[$0]!) }
  }

  /// √Σ‖D‖² over the weights that are changed before and not after, ÷ ‖D‖.
  public var lostShare: Double {
    share(entries.reduce(0) { $0 + ($1.energyAfter == 0 && $1.notFiniteAfter == 0 ? $1.energyBefore : 0) })
  }

  /// √Σ‖D'‖² over the weights that are changed after and not before, ÷ ‖D‖.
  public var addedShare: Double { share(entries.reduce(0) { $0 + ($1.energyBefore == 0 ? $1.energyAfter : 0) }) }

  private func share(_ energy: Double) -> Double { energy == 0 ? 0 : (energy / total.energyBefore).squareRoot() }
}

extension Sequence<WeightComparison.Sums> {
  fileprivate var total: WeightComparison.Sums { reduce(into: .init()) { $0 += $1 } }
}

extension WeightComparison.Sums {
  /// Of one weight; absent changes are zero.
  fileprivate init(_ base: [Float], _ old: [Float]?, _ new: [Float]?) {
    typealias Lanes = SIMD8<Double>
    var sums = (base: Lanes(), before: Lanes(), after: Lanes(), inner: Lanes(), difference: Lanes())
    var bad = (before: 0, after: 0)
    func sum(_ place: Int, _ count: Int) {
      func lanes(_ values: [Float]?) -> Lanes {
        guard let values else { return Lanes() }
        var result = Lanes()
        for lane in 0..<count { result[lane] = Double(values[place + lane]) }
        return result
      }
      let weight = lanes(base), a = lanes(old), b = lanes(new)
      sums.base += weight * weight
      // One test for all: a sum with NaN or infinity in it is not finite.
      guard (a.sum() + b.sum()).isFinite else {
        bad.before += (0..<count).count { !a[$0].isFinite }
        bad.after += (0..<count).count { !b[$0].isFinite }
        return
      }
      sums.before += a * a
      sums.after += b * b
      sums.inner += a * b
      sums.difference += (a - b) * (a - b)
    }
    let whole = base.count / 8 * 8
    for place in stride(from: 0, to: whole, by: 8) { sum(place, 8) }
    if whole < base.count { sum(whole, base.count - whole) }
    (baseEnergy, energyBefore, energyAfter) = (sums.base.sum(), sums.before.sum(), sums.after.sum())
    (inner, difference) = (sums.inner.sum(), sums.difference.sum())
    (notFiniteBefore, notFiniteAfter) = (bad.before, bad.after)
  }
}

extension Checkpoint {
  /// All weights of all networks under the names that engines know.
  var weightNames: [WeightName] {
    Component.allCases.filter { $0 != .other }.flatMap { component in
      names(of: component).map { WeightName(component, $0) }
    }
  }

  /// The number format of most of the denoiser where that has 16 bits, or else f16.
  var usualFormat: DType {
    let counts = Dictionary(
      weights(of: .denoiser).map { ($0.entry.dtype, $0.entry.shape.elementCount) }, uniquingKeysWith: +)
    return counts.max { $0.value < $1.value }?.key == .bf16 ? .bf16 : .f16
  }
}

extension WeightName {
  /// The part of the network that the weight is in.
  var block: String { TargetKey(component, path.underscored).block }
}
