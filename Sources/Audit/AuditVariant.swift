import Checkpoints
import Models

/// Weights for all networks of a base, some of which may be the base's own.
protocol AuditVariant: WeightSource, Sendable {
  /// Whether a network has the base's numbers, so that what it says or draws need not be asked again.
  func leaves(_ component: Component) -> Bool
}

extension AuditVariant {
  /// Whether prompts say what they say to the base.
  var leavesTexts: Bool { Component.allCases.allSatisfy { !$0.isTextEncoder || leaves($0) } }
}

extension Checkpoint: AuditVariant {
  func leaves(_ component: Component) -> Bool { true }
}

extension AuditSide: AuditVariant {
  func leaves(_ component: Component) -> Bool {
    borrowed.contains(component) || checkpoint == nil && !stack.weights.changes(component)
  }
}
