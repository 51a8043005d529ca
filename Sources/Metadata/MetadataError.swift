/// Why metadata cannot be shown.
public struct MetadataError: Error, CustomStringConvertible {
  /// What was asked for and is not there.
  public let key: String
  /// The file, which begins the message.
  public let path: String

  /// There is no entry called `key` in the file at `path`.
  public init(missing key: String, path: String) { (self.key, self.path) = (key, path) }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(key): expected an entry of this name in the metadata, found none" }
}
