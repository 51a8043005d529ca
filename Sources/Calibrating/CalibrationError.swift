/// Why the weighing of a plan's targets could not be found.
public struct CalibrationError: Error, CustomStringConvertible {
  /// What went wrong.
  public enum Kind: Sendable {
    /// A file that is no table of sensitivities.
    case table(reason: String)
    /// None of the plan's targets has a layer in the base, or in a table of sensitivities.
    case noneFits(where: String)
    /// A table of another model.
    case otherModel(expected: String, found: String)
  }

  /// What went wrong.
  public let kind: Kind
  /// The file in question.
  public var path: String

  init(_ kind: Kind, path: String) { (self.kind, self.path) = (kind, path) }

  /// One line.
  public var description: String {
    switch kind {
    case .table(let reason): "\(path): \(reason)"
    case .noneFits(let place): "\(path): expected targets that \(place) knows, found none"
    case .otherModel(let expected, let found): "\(path): expected sensitivities of \(expected), found those of \(found)"
    }
  }
}
