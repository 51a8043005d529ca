import Adapters
import LinearAlgebra
package import Spectra
import Tensors

/// What a target's deltas have become by the recipe's method: what is decomposed and written.
package struct MergedDelta: Sendable {
  /// In factors. Where the method has made new ones, the adapters' own terms stand behind them at strength 0, so that
  /// what is kept of each can be told.
  package let sum: DeltaSum
  /// The places of the adapters' own terms in `sum`.
  package let own: Range<Int>
  /// ‖·‖²_F of what the factors leave out.
  package let outside: Double
  /// Whether it is something else than the plan's sum.
  package let isNew: Bool

  /// - Parameter rule: what says how many components can be asked for at most.
  /// - Throws: what the method throws, and `AdapterError` for factors that hold NaN or infinity.
  package init(
    of target: OutputTarget, by method: any MergeMethod, rule: RankRule, _ workspace: FactorWorkspace
  ) throws {
    let delta = target.delta
    let deltas = DeltasToMerge(
      delta, sources: target.sources, limit: Self.limit(target, rule), name: target.key.description, workspace)
    guard method.combines, deltas.members.count > 1, let combination = try method.combination(of: deltas) else {
      (sum, own, outside, isNew) = (delta, delta.terms.indices, target.outside, false)
      return
    }
    isNew = true
    switch combination {
    case .scaled(let factors):
      precondition(factors.count == deltas.members.count, "\(method.name): a factor for each adapter")
      var terms = delta.terms
      for (member, factor) in zip(deltas.members, factors) {
        for place in member.terms {
          let term = terms[place]
          terms[place] = .init(term.target, of: term.file, strength: term.strength * factor)
        }
      }
      (sum, own, outside) = (try DeltaSum(terms), terms.indices, 0)
    case .factors(let up, let down, let outside):
      precondition(
        up.rows == delta.rows && down.columns == delta.columns && up.columns == down.rows,
        "\(method.name): factors of \(delta.rows) × \(delta.columns) are needed")
      let made =
        up.columns == 0 ? [] : [DeltaSum.Term(Target(up, down, inPlaceOf: delta.terms[0]), of: delta.terms[0].file)]
      let silent = delta.terms.map { DeltaSum.Term($0.target, of: $0.file, strength: 0) }
      sum = try DeltaSum(made + silent)
      (own, self.outside) = (made.count..<made.count + silent.count, outside)
    }
  }

  private static func limit(_ target: OutputTarget, _ rule: RankRule) -> Int {
    let most = min(target.delta.componentCount, target.delta.rows, target.delta.columns)
    guard case .rank(let rank, let conv) = rule else { return most }
    return min(target.isConvolution ? conv ?? rank : rank, target.delta.rows, target.delta.columns)
  }
}

extension Target {
  /// Factors that were computed, in double precision.
  init(_ up: Matrix, _ down: Matrix, inPlaceOf term: DeltaSum.Term) {
    let target = term.target, rank = up.columns
    self.init(
      name: target.name, key: target.key, kind: target.kernel.isEmpty ? .linear : .conv,
      up: Tensor(up.elements, shape: Shape([up.rows, rank] + target.kernel.map { _ in 1 }), dtype: .f64),
      down: Tensor(down.elements, shape: Shape([rank, target.inputs] + target.kernel), dtype: .f64), mid: nil,
      names: target.names, alpha: nil, scale: 1, isTransposed: target.isTransposed)
  }
}
