import Tensors

/// Why a file or folder could not be read, or not be written.
public struct FileError: Error, CustomStringConvertible {
  /// What went wrong. `exists`, `folderExists` and `isInput` are refusals to write.
  public enum Kind: Equatable, Sendable {
    case missing
    case notAFile
    case system(operation: String, reason: String)
    /// While it was read.
    case changed
    case exists
    case folderExists
    /// The output is one of the command's own inputs.
    case isInput
    /// In bytes.
    case noSpace(needed: Int, available: Int)
    case notWritable(reason: String)
    /// What is on the disk is not what was written.
    case verification(part: String)
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The file or folder, which begins the message.
  public let path: String

  /// An error about the file or folder at `path`.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file or folder in front.
  public var description: String { "\(path): \(message)" }

  /// The message without the file's name: what, expected, found, and a hint where one exists.
  public var message: String {
    switch kind {
    case .missing: "no such file"
    case .notAFile: "is not a regular file"
    case .system(let operation, let reason): "cannot \(operation): \(reason)"
    case .changed:
      "expected it to stay the same, found that it changed while it was read; hint: wait until it is complete, and begin anew"
    case .exists: "exists already"
    case .folderExists: "exists already; hint: a folder is never replaced, give a new name"
    case .isInput: "cannot create: it is read by the same command; hint: give the output another name"
    case .noSpace(let needed, let available):
      "disk: expected \(ByteCount(needed)) free, found \(ByteCount(available)); hint: free some or write elsewhere"
    case .notWritable(let reason): "cannot create: \(reason)"
    case .verification(let part): "\(part): the bytes on disk are not the bytes written; the output was removed"
    }
  }
}
