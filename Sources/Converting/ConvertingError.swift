public import Adapters
public import Models

/// Why an adapter cannot be converted, where it is not for a reason that every writing of adapters may have: that is a
/// `FactoringError`.
public struct ConvertingError: Error, CustomStringConvertible {
  /// What went wrong; limits are the user's.
  public enum Kind: Sendable {
    /// No target has a name in the dialect.
    case noTargets(format: AdapterFormat)
    /// Of a base that was to say the family.
    case noFamily(Family)
    /// Two words whose files would have one name.
    case embeddingNames(first: String, second: String)
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
    case .noTargets(let format):
      "expected at least one target that the \(format.rawValue) dialect has a name for, found none"
    case .noFamily(let found): "family: expected one whose names are known in both dialects, found \(found.name)"
    case .embeddingNames(let first, let second):
      "\(second): expected tokens whose files can have different names, found \(first) beside it"
    }
  }
}
