/// Something in a YAML file that is not understood.
public struct RecipeError: Error, CustomStringConvertible {
  /// What was expected and what was found.
  public let reason: String
  /// The file, which begins the message.
  public let path: String

  /// An error in the file at `path`.
  public init(reason: String, path: String) { (self.reason, self.path) = (reason, path) }

  /// The whole message, with the file in front.
  public var description: String { "\(path): recipe: \(reason)" }
}
