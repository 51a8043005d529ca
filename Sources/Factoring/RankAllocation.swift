package import Spectra
import Tensors

/// The ranks chosen for all targets, and what is known about them.
public struct RankAllocation: Sendable {
  /// One for each target, in the plan's order; 0 for a target that is left out.
  public let ranks: [Int]
  /// The size of the file in bytes, exactly.
  public let bytes: Int
  /// √(lost energy ÷ energy): the relative error that truncation makes, before rounding.
  public let relativeError: Double
  /// No choice of ranks within the allowed bytes has a smaller relative error than this; only for limits in bytes.
  public let lowerBound: Double?
  /// The same two under the weighing that the ranks were chosen by; `nil` where only sizes count.
  public internal(set) var weighted: Weighted?
  /// The rule they were chosen by; `nil` where nobody asked for one.
  public internal(set) var rule: RankRule?

  /// What a cut costs under an `ErrorWeighing`.
  public struct Weighted: Sendable {
    /// √(Σ lost ÷ Σ all) of what the weighing counts, before rounding.
    public let relativeError: Double
    /// No choice of ranks within the allowed bytes has a smaller one; only for limits in bytes.
    public let lowerBound: Double?
  }

  package init(ranks: [Int], bytes: Int, relativeError: Double, lowerBound: Double?) {
    (self.ranks, self.bytes, self.relativeError, self.lowerBound) = (ranks, bytes, relativeError, lowerBound)
  }
}

/// Divides a budget of bytes or of error among the components of all targets.
///
/// Keeping component i of target l gains w_l·σ² and costs its bytes; the first component of a target also costs its
/// header entries. The gains of a target fall and the costs are constant, so taking components by gain per byte solves
/// the linear relaxation of the problem exactly: what is lost beyond it is at most one component. (Upper concave
/// envelopes of each target's gain take the header cost into account; the relaxation over them is the certificate.)
package struct RankAllocator {
  private let gains: [[Double]]
  private let squares: [[Double]]
  private let total: Double
  /// Energy that no choice can keep: of components that are not among the spectra.
  private let outOfReach: Double
  private let model: FileSizeModel
  private let perRank: [Int]
  private let minimum: [Int]

  /// - Parameters:
  ///   - spectra: one for each target; zeros at the end are never kept.
  ///   - outOfReach: the energy of what the spectra do not show, all targets together.
  ///   - keepsAll: whether no target may fall to rank 0.
  ///   - kept: targets that may not, whatever becomes of others.
  package init(
    spectra: [Spectrum], outOfReach: Double = 0, weighing: Weighing, keepsAll: Bool, kept: Set<Int> = [],
    model: FileSizeModel
  ) {
    squares = spectra.map { $0.singularValues.filter { $0 > 0 }.map { $0 * $0 } }
    let energies = spectra.map(\.energy)
    gains = zip(squares, energies).map { values, energy in
      weighing == .perTarget && energy > 0 ? values.map { $0 / energy } : values
    }
    self.outOfReach = outOfReach
    total = energies.reduce(outOfReach, +)
    self.model = model
    perRank = model.bytesPerRank(targetCount: spectra.count)
    minimum = spectra.indices.map { keepsAll || kept.contains($0) ? 1 : 0 }
  }

  /// The smallest possible file.
  package var smallestSize: Int { model.fileSize(ranks: minimum) }
  /// The smallest file with a component at all; `nil` where there is none.
  package var smallestSizeOfOne: Int? {
    let nothing = squares.map { _ in 0 }
    return squares.indices.filter { !squares[$0].isEmpty }.map { target in
      var ranks = nothing
      ranks[target] = 1
      return model.fileSize(ranks: ranks)
    }.min()
  }
  /// The file with every component.
  package var largestSize: Int { model.fileSize(ranks: fullRanks) }

  private var fullRanks: [Int] { zip(squares, minimum).map { max($0.count, $1) } }

  /// The allocation for ranks that are given.
  package func allocation(ranks wanted: [Int]) -> RankAllocation {
    let ranks = zip(wanted, minimum).map { max($0, $1) }
    return RankAllocation(
      ranks: ranks, bytes: model.fileSize(ranks: ranks), relativeError: relativeError(ranks), lowerBound: nil)
  }

  // MARK: Limits

  /// How many components there are to choose from, beside those that every file has.
  package var componentCount: Int { zip(fullRanks, minimum).reduce(0) { $0 + $1.0 - $1.1 } }

  /// The first components of the order in which limits take them.
  package func allocation(components count: Int) -> RankAllocation {
    let entries = model.entryBytes(targetCount: gains.count, largestOffset: largestSize)
    var ranks = minimum, left = count
    for segment in segments(gains, entryBytes: entries) where left > 0 {
      let taken = min(segment.count, left)
      ranks[segment.target] += taken
      left -= taken
    }
    return allocation(ranks: ranks)
  }

  /// The best ranks for a file of at most `budget` bytes, or `nil` when not even the smallest file fits.
  package func allocation(fitting budget: Int) -> RankAllocation? {
    guard smallestSize <= budget else { return nil }
    let entries = model.entryBytes(targetCount: gains.count, largestOffset: budget)
    var ranks = minimum, used = smallestSize + 8
    var isClosed = [Bool](repeating: false, count: gains.count), taken: [Segment] = []
    for segment in segments(gains, entryBytes: entries) where !isClosed[segment.target] {
      used += segment.bytes
      ranks[segment.target] += segment.count
      // The count is a little too high: near the limit the exact size decides.
      if used <= budget || model.fileSize(ranks: ranks) <= budget {
        taken.append(segment)
      } else {
        used -= segment.bytes
        ranks[segment.target] -= segment.count
        isClosed[segment.target] = true
      }
    }
    // Digits that entries of tensors outside the choice gain are not in the count.
    while model.fileSize(ranks: ranks) > budget, let last = taken.popLast() { ranks[last.target] -= last.count }
    fill(&ranks, budget: budget)
    return RankAllocation(
      ranks: ranks, bytes: model.fileSize(ranks: ranks), relativeError: relativeError(ranks),
      lowerBound: lowerBound(fitting: budget))
  }

  /// The smallest file with at most this relative error.
  package func allocation(relativeError limit: Double) -> RankAllocation {
    let entries = model.entryBytes(targetCount: gains.count, largestOffset: largestSize)
    var ranks = minimum
    var order: [Segment] = []
    var lost = zip(squares, minimum).reduce(outOfReach) { $0 + $1.0.dropFirst($1.1).reduce(0, +) }
    let allowed = limit * limit * total
    for segment in segments(gains, entryBytes: entries) {
      guard lost > allowed else { break }
      let start = ranks[segment.target]
      ranks[segment.target] += segment.count
      lost -= squares[segment.target][start..<start + segment.count].reduce(0, +)
      order.append(segment)
    }
    // The running difference drifts; count what is lost anew, and add what drift may have hidden.
    while relativeError(ranks) > limit, let target = bestNext(ranks) { ranks[target] += 1 }
    // The last segment may have overshot: give back what is not needed, poorest gain first.
    for segment in order.reversed() {
      while ranks[segment.target] > minimum[segment.target] {
        ranks[segment.target] -= 1
        guard relativeError(ranks) > limit else { continue }
        ranks[segment.target] += 1
        break
      }
    }
    return allocation(ranks: ranks)
  }

  /// Pairs of file size and relative error along the way from the smallest to the full file.
  package func curve(points: Int) -> [RankAllocation] {
    let entries = model.entryBytes(targetCount: gains.count, largestOffset: largestSize)
    var ranks = minimum, spent = 0
    let all = segments(gains, entryBytes: entries)
    let step = max(1, all.reduce(0) { $0 + $1.bytes } / max(points, 1))
    var result = [allocation(ranks: ranks)], next = step
    for segment in all {
      ranks[segment.target] += segment.count
      spent += segment.bytes
      guard spent >= next else { continue }
      result.append(allocation(ranks: ranks))
      while next <= spent { next += step }
    }
    if result.last!.bytes < largestSize { result.append(allocation(ranks: fullRanks)) }
    return result
  }

  // MARK: Parts of the method

  /// Some components of one target that are taken together.
  private struct Segment {
    let target: Int
    let count: Int
    let gain: Double
    let bytes: Int
    var density: Double { gain / Double(bytes) }
  }

  /// The edges of all targets' concave envelopes, best gain per byte first.
  private func segments(_ gains: [[Double]], entryBytes: [Int]) -> [Segment] {
    var result: [Segment] = []
    for (target, values) in gains.enumerated() where values.count > minimum[target] {
      var start = minimum[target]
      if start == 0 {
        // The first edge bears the header entries; it runs to where the mean gain per byte is highest.
        var sum = 0.0, best = 0.0, count = 1
        for (index, value) in values.enumerated() {
          sum += value
          let density = sum / Double(entryBytes[target] + perRank[target] * (index + 1))
          guard density > best else { break }
          (best, count) = (density, index + 1)
        }
        result.append(
          Segment(
            target: target, count: count, gain: values[..<count].reduce(0, +),
            bytes: entryBytes[target] + perRank[target] * count))
        start = count
      }
      result += values[start...].map { Segment(target: target, count: 1, gain: $0, bytes: perRank[target]) }
    }
    // Equal densities keep the file's order, so that equal input gives equal output; within a target densities fall.
    return result.enumerated().sorted { ($0.element.density, $1.offset) > ($1.element.density, $0.offset) }.map(
      \.element)
  }

  /// Adds single components, best first, as long as the exact size allows.
  private func fill(_ ranks: inout [Int], budget: Int) {
    var size = model.fileSize(ranks: ranks)
    var candidates = Set(gains.indices.filter { ranks[$0] < gains[$0].count })
    func density(_ target: Int) -> Double { gains[target][ranks[target]] / Double(perRank[target]) }
    while true {
      candidates = candidates.filter { perRank[$0] <= budget - size && ranks[$0] < gains[$0].count }
      guard let target = candidates.max(by: { (density($0), $1) < (density($1), $0) }) else { return }
      ranks[target] += 1
      let grown = model.fileSize(ranks: ranks)
      if grown <= budget {
        size = grown
      } else {
        ranks[target] -= 1
        candidates.remove(target)
      }
    }
  }

  private func bestNext(_ ranks: [Int]) -> Int? {
    gains.indices.filter { ranks[$0] < gains[$0].count }
      .max { (gains[$0][ranks[$0]] / Double(perRank[$0]), $1) < (gains[$1][ranks[$1]] / Double(perRank[$1]), $0) }
  }

  /// The relaxation's relative error with unweighted gains and the least that headers can cost.
  func lowerBound(fitting budget: Int) -> Double {
    let entries = model.entryBytes(targetCount: squares.count, largestOffset: nil)
    var room = Double(budget - smallestSize + model.saving)
    var lost = zip(squares, minimum).reduce(outOfReach) { $0 + $1.0.dropFirst($1.1).reduce(0, +) }
    for segment in segments(squares, entryBytes: entries) {
      let share = min(1, room / Double(segment.bytes))
      lost -= share * segment.gain
      room -= share * Double(segment.bytes)
      guard share == 1 else { break }
    }
    // What subtracting has rounded must not raise a bound.
    lost -= total * Double(squares.reduce(0) { $0 + $1.count }) * 0x1p-53
    return total > 0 ? (max(0, lost) / total).squareRoot() : 0
  }

  private func relativeError(_ ranks: [Int]) -> Double {
    guard total > 0 else { return 0 }
    let lost = zip(squares, ranks).reduce(outOfReach) { sum, target in
      sum + target.0.dropFirst(target.1).reversed().reduce(0, +)
    }
    return (lost / total).squareRoot()
  }
}
