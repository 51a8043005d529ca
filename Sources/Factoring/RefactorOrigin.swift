package import JSON
package import Models

/// What the only adapter of a plan was made of just before, where it is no file: the output tells of that, and its errors count from
/// there.
package struct RefactorOrigin: Sendable {
  /// What the output's recipe says in place of its operation and inputs.
  let fields: @Sendable (RecipeHashes) -> [String: JSONValue]
  /// SHA-256 of the tensors of each input's files.
  let hashes: @Sendable () -> [[String]]
  /// ‖·‖²_F of what the adapter's factors leave out of each target's change.
  let outside: [TargetKey: Double]

  package init(
    fields: @escaping @Sendable (RecipeHashes) -> [String: JSONValue], hashes: @escaping @Sendable () -> [[String]],
    outside: [TargetKey: Double]
  ) {
    (self.fields, self.hashes, self.outside) = (fields, hashes, outside)
  }
}

extension RefactorPlan {
  /// The same plan for an adapter that was made of something else.
  package func telling(of origin: RefactorOrigin) -> RefactorPlan {
    var plan = self
    plan.origin = origin
    for index in targets.indices { plan.targets[index].outside = origin.outside[targets[index].key] ?? 0 }
    return plan
  }
}
