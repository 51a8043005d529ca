/// What keeps a network from being read or built.
public struct NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
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

  public let kind: Kind
  public let file: String

  public init(_ kind: Kind, file: String) {
    self.kind = kind
    self.file = file
  }

  public var description: String {
    switch kind {
    case .noAutoencoder: "\(file): expected a VAE, found none"
    case .missing(let what, let hint): "\(file): expected \(what), found none" + (hint.map { "; hint: \($0)" } ?? "")
    case .configuration(let what, let expected, let found), .shape(let what, let expected, let found):
      "\(file): \(what): expected \(expected), found \(found)"
    }
  }
}
