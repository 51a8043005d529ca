public import Adapters
import Factoring

/// Why two checkpoints do not give an adapter, where it is not for a reason that every writing of adapters may have: that is a
/// `FactoringError`.
public struct ExtractingError: Error, CustomStringConvertible {
  /// What went wrong; limits are the user's.
  public enum Kind: Sendable {
    /// Weights that only one of them has.
    case unmatched(first: String, count: Int)
    case unchanged(reason: String)
    /// No choice of ranks up to the highest is exact enough.
    case rankCap(limit: Double, smallest: Double, rank: Int)
    case severalNetworks(format: AdapterFormat)
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The file that it is about, which begins the message.
  public let path: String

  /// An error about the file at `path`.
  public init(_ kind: Kind, path: String) { (self.kind, self.path) = (kind, path) }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(message)" }

  /// What is wrong, without the file.
  package var message: String {
    switch kind {
    case .unmatched(let first, let count):
      "expected the same weights in both checkpoints, found \(first)\(count > 1 ? " (and \(count - 1) more)" : "")"
    case .unchanged(let reason): "expected weights that differ from the base, found \(reason)"
    case .rankCap(let limit, let smallest, let rank):
      "max-error: expected at least \(FactoringError.short(smallest)) with ranks up to \(rank), found \(FactoringError.short(limit))"
    case .severalNetworks(let format):
      "expected changes in one network, found several, and a \(format.rawValue) adapter holds one"
    }
  }
}
