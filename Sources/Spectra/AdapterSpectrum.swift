public import Adapters
public import LinearAlgebra

/// The spectra of all targets of an adapter, and their totals.
public struct AdapterSpectrum: Sendable {
  /// One target with its singular values.
  public struct Entry: Sendable {
    /// With its factors still in the file.
    public let target: Target
    /// As many values as the delta can have, with zeros for those that only rounding made.
    public let spectrum: Spectrum
  }

  /// A part of the adapter, seen as one: its singular values are those of all its targets together.
  public struct Part: Sendable {
    /// The block's name, or `total`.
    public let name: String
    /// How many targets are in it.
    public let targetCount: Int
    /// The singular values of all its targets, sorted together.
    public let spectrum: Spectrum
  }

  /// In the adapter's order.
  public let entries: [Entry]

  /// The shares of energy for which ranks are reported.
  public static let energyLevels = [0.5, 0.9, 0.95, 0.99, 0.999]

  /// Computes all spectra from the factors, in double precision, without forming a delta.
  ///
  /// - Parameters:
  ///   - threads: how many targets are worked on at once; the result does not depend on it.
  ///   - progress: called with the number of targets done.
  /// - Throws: `AdapterError` for a factor that is not finite.
  public init(of adapter: Adapter, threads: Int, progress: WorkProgress? = nil) throws {
    let targets = adapter.targets
    let spectra = try concurrentMap(
      count: targets.count, threads: threads, order: targets.map { [$0] }.longestFirst, progress: progress,
      workspace: FactorWorkspace.init
    ) { index, workspace in
      let delta = try DeltaSum([.init(targets[index], of: adapter.path)])
      if delta.isDense { return Spectrum(try delta.denseSpectrum(vectors: 0, in: workspace).spectrum.values) }
      let core = try delta.core(in: workspace)
      let values = try SingularValues.values(of: core.core(weights: delta.weights))
      // Values that only rounding made are exact zeros of the delta.
      let rank = values.numericalRank(
        rows: delta.rows, columns: delta.columns, size: core.largestComponent(weights: delta.weights))
      return Spectrum(Array(values.prefix(rank)) + Array(repeating: 0, count: delta.valueCount - rank))
    }
    entries = zip(targets, spectra).map { Entry(target: $0, spectrum: $1) }
  }

  /// Targets with a direction far stronger than is usual.
  ///
  /// - Parameter weights: the largest singular value of the weight that each target changes, where the base is at hand.
  public func spikes(weights: [Double?]? = nil) -> [AdapterProblem] {
    Spikes(in: entries.map(\.spectrum), weights: weights).problems(of: entries.map(\.target.name), weights: weights)
  }

  /// All targets together: its rank for an energy is the number of components, chosen anywhere in the file.
  public var total: Part { part("total", entries) }

  /// One part for each block of the network, in the adapter's order.
  public var blocks: [Part] {
    var order: [String] = [], members: [String: [Entry]] = [:]
    for entry in entries {
      if members[entry.target.key.block] == nil { order.append(entry.target.key.block) }
      members[entry.target.key.block, default: []].append(entry)
    }
    return order.map { part($0, members[$0]!) }
  }

  private func part(_ name: String, _ entries: [Entry]) -> Part {
    Part(
      name: name, targetCount: entries.count,
      spectrum: Spectrum(entries.flatMap(\.spectrum.singularValues).sorted(by: >)))
  }
}

extension [[Target]] {
  /// Indices of groups of targets by the work they make, most first.
  public var longestFirst: [Int] {
    let work = map { group in
      group.reduce(0) { $0 + $1.rank } * group.reduce(0) { $0 + $1.rank } * (group[0].rows + group[0].columns)
    }
    return indices.sorted { (work[$0], $1) > (work[$1], $0) }
  }
}
