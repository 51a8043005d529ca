public import Adapters
public import Checkpoints
public import Factoring

extension RefactorPlan {
  /// Reads the adapters' headers and matches their targets.
  ///
  /// - Throws: an error of the file's room, `AdapterError` for an adapter that cannot be worked on, or `FactoringError`.
  public init(_ recipe: RefactorRecipe) throws {
    try self.init(recipe, adapters: recipe.inputs.map { try Adapter(path: $0.path) })
  }

  /// Matches the targets of adapters that are open, from files or in memory.
  ///
  /// - Parameters:
  ///   - adapters: the recipe's inputs.
  ///   - base: the recipe's base, for targets whose delta depends on the weight that they change; opened by its path when `nil`.
  /// - Throws: `AdapterError` for an adapter that cannot be worked on, or `FactoringError`.
  public init(_ recipe: RefactorRecipe, adapters: [Adapter], base: Checkpoint? = nil) throws {
    precondition(adapters.count == recipe.inputs.count, "\(adapters.count) adapters for \(recipe.inputs.count) inputs")
    precondition(!adapters.isEmpty, "a plan is of an adapter at least")
    switch recipe.operation {
    case .resize: try self.init(recipe, resizing: adapters[0], base: base)
    case .merge: try self.init(recipe, merging: adapters, base: base)
    }
  }
}
