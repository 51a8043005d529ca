public import Adapters
public import LinearAlgebra

/// How much adapters get in each other's way when used together, for every ordered pair.
///
/// The cosine of two deltas says little: adapters trained from one seed can have cosine 0 and still listen to the same
/// inputs. Cross-talk looks at each side by itself.
public struct CrossTalk: Sendable {
  /// What one adapter, the source, does to another, the target.
  public struct Pair: Sendable {
    /// The index of the adapter that disturbs, and of the one that is disturbed.
    public let source: Int
    /// The index of the adapter that is disturbed.
    public let target: Int
    /// ⟨D_s, D_t⟩ ÷ ‖D_s‖‖D_t‖; `nil` where one is zero.
    public let cosine: Double?
    /// ‖D_sᵀD_t‖ ÷ ‖D_tᵀD_t‖: how strongly s writes to the outputs that t writes to.
    public let output: Double
    /// ‖D_sD_tᵀ‖ ÷ ‖D_tD_tᵀ‖: how strongly s answers the inputs that t listens to.
    public let input: Double
    /// Mean squared cosine of the principal angles of output and input spaces, and the same for random spaces.
    public let outputOverlap: Double
    /// The mean squared cosine of the input spaces' principal angles.
    public let inputOverlap: Double
    /// What `outputOverlap` would be for random spaces of the same ranks.
    public let randomOutputOverlap: Double
    /// What `inputOverlap` would be for random spaces of the same ranks.
    public let randomInputOverlap: Double
    /// Weights that both adapters change; overlaps are means over them.
    public let sharedTargets: Int
  }

  /// All ordered pairs, by source and then target.
  public let pairs: [Pair]

  /// Sums over one target's pair, before they are put together.
  private struct Sums {
    var inner = 0.0, squareSource = 0.0, squareTarget = 0.0
    var output = 0.0, outputOwn = 0.0, input = 0.0, inputOwn = 0.0
    var outputOverlap = 0.0, inputOverlap = 0.0, randomOutput = 0.0, randomInput = 0.0
    var shared = 0

    mutating func add(_ other: Sums) {
      inner += other.inner
      squareSource += other.squareSource
      squareTarget += other.squareTarget
      output += other.output
      outputOwn += other.outputOwn
      input += other.input
      inputOwn += other.inputOwn
      outputOverlap += other.outputOverlap
      inputOverlap += other.inputOverlap
      randomOutput += other.randomOutput
      randomInput += other.randomInput
      shared += other.shared
    }
  }

  /// - Parameter strengths: multiply the deltas beforehand: cross-talk of a stack as it is used.
  /// - Throws: `AdapterError` for factors that are not finite or whose shapes disagree.
  public init(_ adapters: [Adapter], strengths: [Double], threads: Int, progress: WorkProgress? = nil)
    throws
  {
    precondition(adapters.count == strengths.count, "one strength for each adapter")
    let groups = TargetPairing(adapters).groups, count = adapters.count
    let parts = try concurrentMap(
      count: groups.count, threads: threads, order: groups.map { $0.members.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorWorkspace.init
    ) { index, workspace in
      try Self.sums(groups[index], adapters, strengths, workspace)
    }
    var totals = [Sums](repeating: Sums(), count: count * count)
    for part in parts { for (place, sums) in part { totals[place].add(sums) } }
    pairs = (0..<count * count).filter { $0 / count != $0 % count }.map { place in
      let sums = totals[place], shared = Double(max(sums.shared, 1))
      let norms = (sums.squareSource * sums.squareTarget).squareRoot()
      return Pair(
        source: place / count, target: place % count, cosine: norms > 0 ? sums.inner / norms : nil,
        output: ratio(sums.output.squareRoot(), sums.outputOwn.squareRoot()),
        input: ratio(sums.input.squareRoot(), sums.inputOwn.squareRoot()),
        outputOverlap: sums.outputOverlap / shared, inputOverlap: sums.inputOverlap / shared,
        randomOutputOverlap: sums.randomOutput / shared, randomInputOverlap: sums.randomInput / shared,
        sharedTargets: sums.shared)
    }
  }

  private static func sums(
    _ group: TargetPairing.Group, _ adapters: [Adapter], _ strengths: [Double], _ workspace: FactorWorkspace
  ) throws -> [(Int, Sums)] {
    let delta = try DeltaSum(
      group.members.map { .init($0.target, of: adapters[$0.adapter].path, strength: strengths[$0.adapter]) })
    let places = group.places, relations = try delta.relations(of: places, in: workspace)
    func counts(_ s: Int) -> Int { places[s]!.reduce(0) { $0 + delta.ranges[$1].count } }
    let own = places.keys.reduce(into: [Int: (square: Double, output: Double, input: Double)]()) {
      $0[$1] = (relations.inner($1, $1), relations.sharedOutput($1, $1), relations.sharedInput($1, $1))
    }
    var result: [(Int, Sums)] = []
    for s in adapters.indices {
      for t in adapters.indices where s != t {
        var sums = Sums()
        sums.squareSource = own[s]?.square ?? 0
        (sums.squareTarget, sums.outputOwn, sums.inputOwn) = own[t] ?? (0, 0, 0)
        if own[s] != nil, own[t] != nil {
          sums.inner = relations.inner(s, t)
          sums.output = relations.sharedOutput(s, t)
          sums.input = relations.sharedInput(s, t)
          sums.outputOverlap = mean(try relations.outputCosines(s, t))
          sums.inputOverlap = mean(try relations.inputCosines(s, t))
          // Of random spaces, the smaller's directions fall into the larger by chance.
          let most = Double(max(counts(s), counts(t)))
          sums.randomOutput = min(1, most / Double(delta.rows))
          sums.randomInput = min(1, most / Double(delta.columns))
          sums.shared = 1
        }
        result.append((s * adapters.count + t, sums))
      }
    }
    return result
  }

  private static func mean(_ cosines: [Double]) -> Double {
    cosines.isEmpty ? 0 : cosines.reduce(0) { $0 + $1 * $1 } / Double(cosines.count)
  }
}
