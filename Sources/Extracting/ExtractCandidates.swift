public import Adapters
public import Factoring
import JSON
public import LinearAlgebra
public import Tensors

/// The leading components of all changes between two checkpoints as an adapter in memory, out of which a weighing chooses what pays.
///
/// A weighing needs the adapter: what goes through its layers while it draws. What the components leave out of the changes counts
/// as error from the beginning.
public struct ExtractCandidates: Sendable {
  /// Its factors are in single precision; changes that are held in full are in it too, as they will be written.
  public let adapter: Adapter
  private let decomposition: ExtractDecomposition

  /// - Parameter decomposition: made for an output, of a recipe with the exact rule.
  /// - Throws: as `ExtractDecomposition.write`.
  public init(
    _ decomposition: ExtractDecomposition, threads: Int, progress: WorkProgress? = nil
  ) throws {
    precondition(decomposition.plan.recipe.rule == .ranks(.exact), "all components that are known")
    self.decomposition = decomposition
    let allocation = try decomposition.allocation(), title = decomposition.plan.recipe.tuned
    let place = try decomposition.place(allocation, decomposition.plan.writesFolder ? title + "/" : title)
    let (writer, _) = try decomposition.write(
      allocation, to: OutputFiles(inMemory: place), named: title, threads: threads, progress)
    adapter = try writer.adapter(titled: title)
  }

  /// A plan that resizes the adapter, telling of the checkpoints instead.
  public func plan(_ plan: RefactorPlan) -> RefactorPlan {
    let origin = decomposition.plan
    let outside = decomposition.factored.map { place in
      (origin.targets[place].key, decomposition.changes[place].factors!.outside)
    }
    return plan.telling(
      of: RefactorOrigin(
        fields: { hashes in
          origin.recipeFields(hashes).filter { ["operation", "base", "tuned", "max_rank"].contains($0.key) }
        },
        hashes: { origin.inputHashes }, outside: Dictionary(outside) { first, _ in first }))
  }

  /// What was written by such a plan, as an extraction tells it.
  public func result(_ written: RefactorResult, dtype: DType) -> ExtractResult {
    let whole = decomposition.result(
      RankAllocation(
        ranks: decomposition.changes.map { $0.factors?.rank ?? 0 }, bytes: written.bytes,
        relativeError: written.relativeError, lowerBound: nil),
      output: written.output, errors: decomposition.changes.map { _ in 0 })
    let entries = Dictionary(written.entries.map { ($0.name, $0) }) { first, _ in first }
    return ExtractResult(
      output: written.output, bytes: written.bytes,
      entries: whole.entries.map { known in
        entries[known.name].map {
          .init(
            name: $0.name, rankBefore: known.rankBefore, rankAfter: $0.rankAfter, norm: known.norm, error: $0.error)
        } ?? known
      }, full: whole.full, equalCount: whole.equalCount, withinRoundingCount: whole.withinRoundingCount,
      skipped: whole.skipped, cappedCount: 0, dtype: dtype)
  }
}
