import Adapters
import Checkpoints
import Files
import Foundation
import Models

/// Weights for all networks of a base, some of which may be the base's own.
protocol AuditVariant: WeightSource, Sendable {
  /// Whether a network has the base's numbers, so that what it says or draws need not be asked again.
  func leaves(_ component: Component) -> Bool

  /// What decides about the weights: hashes of files, strengths.
  ///
  /// - Throws: what opening a file throws.
  func facts(_ hashes: KnownHashes) throws -> [String]
}

extension AuditVariant {
  /// Whether prompts say what they say to the base.
  var leavesTexts: Bool { Component.allCases.allSatisfy { !$0.isTextEncoder || leaves($0) } }
}

extension Checkpoint: AuditVariant {
  func leaves(_ component: Component) -> Bool { true }

  /// Hashes of its weights, and of the files that belong to them.
  func facts(_ hashes: KnownHashes) throws -> [String] {
    try (files.map(\.contents.path) + companions.map { "\(folder)/\($0)" }).map {
      hashes.sha256(of: try MappedFile(path: $0))
    } + [family.name]
  }
}

extension AuditSide: AuditVariant {
  func leaves(_ component: Component) -> Bool {
    borrowed.contains(component) || checkpoint == nil && !stack.weights.changes(component)
  }

  /// Those of the base, of what stands in its place, and of adapters with their strengths.
  func facts(_ hashes: KnownHashes) throws -> [String] {
    let adapters = try zip(fits, inputs).flatMap { fit, input in
      try fit.adapter.ownFiles.sorted().map {
        FileManager.default.fileExists(atPath: $0) ? hashes.sha256(of: try MappedFile(path: $0)) : "no file"
      } + ["\(input.strength)", "\(input.textEncoderStrength)", String(reflecting: input.blocks)]
    }
    return try base.facts(hashes) + ["checkpoint"] + (checkpoint?.facts(hashes) ?? []) + ["adapters"] + adapters
  }
}
