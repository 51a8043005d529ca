/// Why a GGUF file could not be read.
public struct GGUFError: Error, CustomStringConvertible {
  /// What is wrong, with tensors and keys as the file spells them.
  public enum Kind: Equatable, Sendable {
    case version(UInt32)
    case bigEndian
    /// The header ends, or says something impossible, at this byte.
    case header(reason: String, offset: Int)
    case count(of: String, declared: UInt64, possible: Int)
    case field(key: String, reason: String)
    case tensor(name: String, reason: String)
    case format(tensor: String, found: String)
    case cutOff(tensor: String, expected: Int, found: Int)
    case overlap(tensor: String, other: String)
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

  private var message: String {
    switch kind {
    case .version(let version): "version: expected GGUF 2 or 3, found \(version); hint: convert it with a newer program"
    case .bigEndian: "version: expected little-endian numbers, found big-endian ones"
    case .header(let reason, let offset): "header: \(reason) at byte \(offset)"
    case .count(let what, let declared, let possible):
      "header: \(what): expected at most \(possible), which the file has room for, found \(declared)"
    case .field(let key, let reason): "\(key): \(reason)"
    case .tensor(let name, let reason): "\(name): \(reason)"
    case .format(let tensor, let found):
      "\(tensor): format: expected one that is read, such as F16, Q8_0 or Q4_K, found \(found); hint: use the F16, Q8_0 or "
        + "Q4_K file of the model, or its safetensors"
    case .cutOff(let tensor, let expected, let found):
      "\(tensor): data: expected its end at byte \(expected), found a file of \(found) bytes; hint: the download stopped "
        + "early, fetch it again"
    case .overlap(let tensor, let other): "\(tensor): data: overlaps with \(other)"
    }
  }
}
