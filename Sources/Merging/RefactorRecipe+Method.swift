package import Factoring

extension RefactorRecipe {
  /// - Throws: `FactoringError` where the method does not go with the adapters or the rule.
  package func checkMethod() throws(FactoringError) {
    guard method.adapterCounts.contains(inputs.count) else {
      throw FactoringError(
        .adapterCount(method: method.name, expected: method.adapterCounts, found: inputs.count), path: inputs[0].path)
    }
    guard method.needsCut else { return }
    switch rule {
    case .rank, .size: break
    default: throw FactoringError(.needsRankOrSize(method: method.name, rule: rule.description), path: inputs[0].path)
    }
  }
}
