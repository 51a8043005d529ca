/// Why a picture could not be read, written, made or compared.
public struct ImageError: Error, CustomStringConvertible {
  /// What is wrong, with sizes in pixels and limits in bytes.
  public enum Kind: Equatable, Sendable {
    case missing
    case notAFile
    case system(operation: String, reason: String)
    case fileTooLarge(bytes: Int, limit: Int)
    /// Not a PNG at all; `found` says what it looks like.
    case notPNG(found: String)
    case cutOff(bytes: Int)
    case checksum(chunk: String)
    case malformed(reason: String)
    case tooManyPixels(width: Int, height: Int)
    case textNotUTF8(keyword: String)
    case keyword(String)
    case textWithZero(keyword: String)
    case writing(reason: String)
    case notANumber(count: Int, total: Int)
    case differentSizes(expected: String, found: String)
    case tooSmall(expected: String, found: String)
  }

  /// What is wrong, for those who add a hint to it.
  public let kind: Kind
  /// The file, where there is one.
  public let path: String?

  /// Without a path for pictures that are in memory only.
  public init(_ kind: Kind, path: String? = nil) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file in front where there is one.
  public var description: String { path.map { "\($0): \(message)" } ?? message }

  /// The message without the file's name: what, expected, found, and a hint where one exists.
  public var message: String {
    switch kind {
    case .missing: "no such file"
    case .notAFile: "is not a regular file"
    case .system(let operation, let reason): "cannot \(operation): \(reason)"
    case .fileTooLarge(let bytes, let limit): "file: expected at most \(limit) bytes, found \(bytes)"
    case .notPNG(let found): "content: expected a PNG picture, found \(found)"
    case .cutOff(let bytes): "content: expected more than \(bytes) bytes, found the end; hint: the file is cut off"
    case .checksum(let chunk): "\(chunk): checksum: expected that of the data, found another; hint: the file is damaged"
    case .malformed(let reason): "content: expected a valid PNG picture, found a fault: \(reason)"
    case .tooManyPixels(let width, let height):
      "size: expected at most \(RGBImage.maximumPixels) pixels, found \(width)x\(height)"
    case .textNotUTF8(let keyword): "text \(keyword): expected UTF-8, found other bytes"
    case .keyword(let keyword):
      "text \(keyword.debugDescription): keyword: expected 1 to 79 printable Latin-1 characters with no space at an end "
        + "and no two spaces in a row"
    case .textWithZero(let keyword): "text \(keyword): expected no zero character, found one"
    case .writing(let reason): "PNG: cannot write: \(reason)"
    case .notANumber(let count, let total): "pixels: expected numbers, found \(count) NaN among \(total) values"
    case .differentSizes(let expected, let found): "size: expected \(expected), found \(found)"
    case .tooSmall(let expected, let found): "size: expected at least \(expected), found \(found)"
    }
  }
}
