/// What is wrong with a safetensors file.
public struct SafetensorsError: Error, CustomStringConvertible {
  /// What is wrong, with tensors as the header spells them.
  public enum Kind: Equatable, Sendable {
    case tooShort(bytes: Int)
    case html
    case pointer
    case headerLength(declared: UInt64, available: Int)
    case headerTooLong(declared: UInt64)
    case headerText(reason: String, offset: Int)
    case entry(tensor: String, reason: String)
    case duplicateTensor(String)
    case byteCount(tensor: String, expected: Int, found: Int)
    case gap(tensor: String, expected: Int, found: Int)
    case overlap(tensor: String, other: String)
    case dataLength(expected: Int, found: Int)
    case metadata(reason: String)
  }

  /// What is wrong, for those who show it in their own way.
  public let kind: Kind
  /// The file, which begins the message.
  public let path: String

  /// An error about the file at `path`.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(message)" }

  /// The message without the file's name: what, expected, found, and a hint where one exists.
  public var message: String {
    switch kind {
    case .tooShort(let bytes):
      "header: expected at least 8 bytes, found \(bytes); hint: the download stopped early, fetch it again"
    case .html:
      "content: expected a safetensors header, found an HTML page; hint: the download link gave a web page (a login or "
        + "error page), download the file itself"
    case .pointer:
      "content: expected a safetensors header, found a Git LFS pointer, which stands for a file that was not fetched; hint: git lfs "
        + "pull, or download the file itself"
    case .headerLength(let declared, let available):
      "header: expected \(declared) bytes, found \(available); hint: the file is cut off or is not safetensors"
    case .headerTooLong(let declared):
      "header: expected at most 100000000 bytes, found \(declared); hint: this is not a safetensors file"
    case .headerText(let reason, let offset): "header: \(reason) at byte \(offset)"
    case .entry(let tensor, let reason): "\(tensor): \(reason)"
    case .duplicateTensor(let tensor): "\(tensor): expected one entry, found two with this name"
    case .byteCount(let tensor, let expected, let found): "\(tensor): data: expected \(expected) bytes, found \(found)"
    case .gap(let tensor, let expected, let found):
      "\(tensor): data: expected to begin at \(expected), found \(found); the file has unused bytes between tensors"
    case .overlap(let tensor, let other): "\(tensor): data: overlaps with \(other)"
    case .dataLength(let expected, let found):
      found < expected
        ? "data: expected \(expected) bytes, found \(found); hint: the download stopped early, fetch it again"
        : "data: expected \(expected) bytes, found \(found); the file has bytes after its last tensor"
    case .metadata(let reason): "__metadata__: \(reason)"
    }
  }
}
