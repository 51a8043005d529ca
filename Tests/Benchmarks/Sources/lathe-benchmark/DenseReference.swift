import Adapters
import Checkpoints
import Dispatch
import LinearAlgebra

/// What LAPACK's singular value decomposition says of the sums of some targets' deltas, in double precision: the usual way, by which
/// results are checked and times are compared.
struct DenseReference {
  enum Result {
    /// All singular values.
    case spectrum
    /// Errors of the best approximations, and the rounding of half precision.
    case rank(Int)
  }

  let inputs: [(path: String, strength: Double)]
  let base: String

  /// Square, wide, tall.
  private static let sample = [
    "_7_1_transformer_blocks_3_attn1_to_q", "_7_1_transformer_blocks_3_attn2_to_k",
    "_te1_text_model_encoder_layers_3_mlp_fc1",
  ]

  /// What is wrong with a report; `nil` for nothing. Prints how long the usual way takes.
  func fault(of report: [String: Any], _ result: Result) throws -> String? {
    let targets = report["targets"] as? [[String: Any]] ?? []
    guard targets.count == 794 else { return "expected 794 targets, found \(targets.count)" }
    let checkpoint = try Checkpoint(path: base)
    let adapters = try inputs.map { try Adapter(path: $0.path).bound(to: checkpoint).adapter }
    for ending in Self.sample {
      let members = adapters.map { adapter in adapter.targets.first { $0.name.hasSuffix(ending) }! }
      var sum = Matrix(zeros: members[0].rows, members[0].columns)
      for (target, input) in zip(members, inputs) {
        let own = Matrix(rows: target.rows, columns: target.columns, elements: target.whole!.doubles())
        sum.add(own, times: input.strength * target.scale)
      }
      let start = DispatchTime.now().uptimeNanoseconds
      let values = try SingularValues(of: sum).values
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
      print("  \(ending): a dense decomposition takes \((seconds * 100).rounded() / 100) s")
      guard let found = targets.first(where: { ($0["name"] as? String)?.hasSuffix(ending) == true }) else {
        return "expected \(ending) in the report"
      }
      switch result {
      case .spectrum:
        let own = found["singular_values"] as? [Double] ?? []
        let worst = zip(own, values).map { abs($0 - $1) }.max() ?? .infinity
        guard own.count == values.count, worst <= 1e-12 * values[0] else {
          return "\(ending): expected singular values within 1e-12 of the largest, found \(worst / values[0])"
        }
      case .rank(let rank):
        let tail = values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }, all = values.reduce(0) { $0 + $1 * $1 }
        let best = (tail / all).squareRoot(), error = found["relative_error"] as? Double ?? .infinity
        guard error >= best * (1 - 1e-9), error <= best * 1.00001 else {
          return "\(ending): expected an error of \(best), found \(error)"
        }
      }
    }
    return nil
  }
}
