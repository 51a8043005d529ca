/// Why a torch pickle could not be read.
public struct TorchPickleError: Error, CustomStringConvertible {
  /// What is wrong; names are those of the archive or of the pickle.
  public enum Kind: Equatable, Sendable {
    case notAnArchive(reason: String)
    case legacy(reason: String)
    case missingEntry(String)
    case entry(name: String, reason: String)
    case tooLarge(entry: String, bytes: UInt64)
    case pickle(reason: String, offset: Int)
    case dangerous(name: String)
    case noTensors
    case notATensor(found: String)
    case value(name: String, found: String, others: Int)
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
  public var description: String {
    "\(path): "
      + {
        switch kind {
        case .notAnArchive(let reason):
          "expected a torch zip archive: \(reason); hint: if the download stopped early, fetch it again"
        case .legacy(let reason): "the format of torch before 1.6: \(reason)"
        case .missingEntry(let name): "archive: expected an entry \(name), found none"
        case .entry(let name, let reason): "archive: \(name): \(reason)"
        case .tooLarge(let entry, let bytes): "archive: \(entry): \(bytes) bytes are too many"
        case .pickle(let reason, let offset): "pickle: \(reason) at byte \(offset)"
        case .dangerous(let name): "pickle: calls \(name), which could run a program; the file is refused"
        case .noTensors: "pickle: expected a dictionary or list of tensors"
        case .notATensor(let found): "pickle: expected a dictionary or list of tensors, found \(found)"
        case .value(let name, let found, let others):
          "\(name)\(others > 0 ? " and \(others) more" : ""): expected a dense tensor, found \(found); "
            + "hint: save it again from Python as dense tensors in one dictionary"
        }
      }()
  }
}
