public import Factoring

/// The methods that users can choose.
public enum MergeMethods {
  /// What users can say of a method beside its name.
  public struct Settings: Sendable, Equatable {
    /// The share of numbers that stay, above 0 and at most 1.
    public var density: Double?
    /// What choices by chance begin with.
    public var seed: UInt64?
    /// The places of the adapters that are protected from the others, among the inputs.
    public var protected: Set<Int> = []
    /// How much they are; at least 0.
    public var protection: Double?

    /// Nothing is said.
    public init() {}
  }

  /// One of the settings.
  public enum Setting: Sendable { case density, seed, protection }

  /// A method by its name.
  public struct Choice: Sendable, CustomStringConvertible {
    /// As users and recipes write it.
    public let name: String
    /// Those that it listens to.
    public let settings: Set<Setting>
    /// The method with settings, or their usual values.
    public let make: @Sendable (Settings) -> any MergeMethod

    /// The name.
    public var description: String { name }

    init(_ settings: Set<Setting> = [], make: @escaping @Sendable (Settings) -> any MergeMethod) {
      (name, self.settings, self.make) = (make(Settings()).name, settings, make)
    }
  }

  /// The usual one first.
  public static let all: [Choice] = [
    Choice { _ in LeadingComponents() },
    Choice { _ in FairShares() },
    Choice([.density]) { Ties(density: $0.density ?? 0.5) },
    Choice([.density]) { Ties(density: $0.density ?? 0.5, adds: true) },
    Choice([.density, .seed]) { Dare(density: $0.density ?? 0.5, seed: $0.seed ?? 0) },
    Choice([.density, .seed]) { Della(density: $0.density ?? 0.5, seed: $0.seed ?? 0) },
    Choice { _ in Slerp() },
    Choice { _ in TaskSingularVectors() },
    Choice([.density]) { KnotsTies(density: $0.density ?? 0.5) },
    Choice([.protection]) { NullSpace(protecting: $0.protected, strength: $0.protection ?? 1) },
    Choice { _ in OwnEffects() },
  ]

  /// - Parameter name: as users call it.
  public static func named(_ name: String) -> Choice? { all.first { $0.name == name } }
}
