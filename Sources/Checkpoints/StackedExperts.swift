/// Weights of all experts of a layer as one, of models that store each expert by itself.
///
/// transformers since version 5 has them stacked while it runs, gate above up, and saves them one by one.
enum StackedExperts {
  /// What a stack is made of for each expert, in the names of most models and in Mixtral's.
  private static let parts: [(stack: String, members: [[String]])] = [
    ("gate_up_proj", [["gate_proj", "up_proj"], ["w1", "w3"]]), ("down_proj", [["down_proj"], ["w2"]]),
  ]

  /// The rows of all experts below each other, under the name that their stack has: `…_experts_gate_up_proj`.
  ///
  /// - Parameter find: a stored weight, by its name with underscores for dots.
  static func weight(flatName: String, find: (String) -> NamedWeight?) -> NamedWeight? {
    for (stack, members) in parts {
      guard flatName.hasSuffix("_experts_" + stack) else { continue }
      let own = flatName.dropping(suffix: stack)
      let modules =
        [own] + (own.includes("_mlp_") ? [own.replacing("_mlp_experts_", with: "_block_sparse_moe_experts_")] : [])
      for module in modules {
        for names in members {
          var found: [NamedWeight] = [], expert = 0
          while case let each = names.compactMap({ find("\(module)\(expert)_\($0)_weight") }), each.count == names.count
          {
            found += each
            expert += 1
          }
          if expert > 0 { return NamedWeight.joined(found) }
        }
      }
    }
    return nil
  }
}
