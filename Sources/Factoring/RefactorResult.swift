/// What was written, measured on the stored factors.
public struct RefactorResult: Sendable {
  /// One target of the plan, and what became of it.
  public struct Entry: Sendable {
    /// As the output spells it, or would if the target were not left out.
    public let name: String
    /// The largest rank among the adapters that have the target.
    public let rankBefore: Int
    /// The rank of the written factors; 0 for a target that was left out.
    public let rankAfter: Int
    /// ‖Δ‖_F of the target's delta (of the weighted sum, in a merge).
    public let norm: Double
    /// ‖Δ − Δ'‖_F, with Δ' from the stored factors.
    public let error: Double

    package init(name: String, rankBefore: Int, rankAfter: Int, norm: Double, error: Double) {
      (self.name, self.rankBefore, self.rankAfter, self.norm, self.error) = (name, rankBefore, rankAfter, norm, error)
    }

    /// 0 for a zero delta.
    public var relativeError: Double { norm > 0 ? error / norm : 0 }
  }

  /// What a merge keeps of one adapter.
  public struct Share: Sendable {
    /// The adapter's file or folder, as the user named it.
    public let file: String
    /// What the recipe multiplies it by.
    public let strength: Double
    /// ⟨D_t, S'⟩ ÷ (strength · ‖D_t‖²) over all targets, S' being the truncated sum: 1 when all of the adapter's effect
    /// is there. Includes what other adapters happen to add along it. `nil` for an adapter without effect.
    public let retention: Double?
    /// Whether so little is there that its user would miss it: less than 80 %.
    public var isStarved: Bool { (retention ?? 1) < 0.8 }
  }

  /// The adapter's file or folder, as the user named it.
  public let output: String
  /// The size of the tensor file.
  public let bytes: Int
  /// As `RankAllocation.lowerBound`.
  public let lowerBound: Double?
  /// As `RankAllocation.weighted`: what the ranks were chosen by, where that is not the error in the weights.
  public let weighted: RankAllocation.Weighted?
  /// In the plan's order; targets that were left out have rank 0.
  public let entries: [Entry]
  /// One for each input, where the output is another work than they, as in a merge; otherwise empty.
  public let shares: [Share]

  /// √(Σ‖Δ − Δ'‖² ÷ Σ‖Δ‖²) over all targets; 0 when there is nothing to lose.
  public var relativeError: Double {
    let norm = entries.reduce(0) { $0 + $1.norm * $1.norm }
    return norm > 0 ? (entries.reduce(0) { $0 + $1.error * $1.error } / norm).squareRoot() : 0
  }

  /// Whether some of the deltas was cut off: an exact sum keeps all of everything, but for rounding.
  public var isCut: Bool { relativeError > 1e-3 }

  /// The share of the deltas' energy that is kept: 1 − relativeError².
  public var energy: Double { max(0, 1 - relativeError * relativeError) }

  /// Targets that are not in the output.
  public var leftOut: [Entry] { entries.filter { $0.rankAfter == 0 } }
}
