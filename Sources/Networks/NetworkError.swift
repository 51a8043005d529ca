/// What keeps a network from being read or built.
public struct NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong: something that is not there, or that has other measures than can be computed.
  public enum Kind: Equatable, Sendable {
    /// A network or a tensor that the file lacks.
    case missing(String, hint: String?)
    /// A VAE.
    case noAutoencoder
    /// A field of a configuration, or a measure that was read from shapes.
    case configuration(field: String, expected: String, found: String)
    /// A tensor of another shape.
    case shape(tensor: String, expected: String, found: String)
  }

  /// What went wrong, for those who show it in their own way.
  public let kind: Kind
  /// The checkpoint or configuration, which begins the message.
  public let file: String

  /// An error about `file`.
  public init(_ kind: Kind, file: String) {
    self.kind = kind
    self.file = file
  }

  /// The whole message: file, what was expected, what was found, hint.
  public var description: String {
    switch kind {
    case .noAutoencoder: "\(file): expected a VAE, found none"
    case .missing(let what, let hint): "\(file): expected \(what), found none" + (hint.map { "; hint: \($0)" } ?? "")
    case .configuration(let what, let expected, let found), .shape(let what, let expected, let found):
      "\(file): \(what): expected \(expected), found \(found)"
    }
  }
}
