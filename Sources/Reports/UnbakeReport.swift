public import Baking
public import JSON
import Tensors

/// What an unbake restored.
public struct UnbakeReport: JSONReport {
  public static let schema = "lathe.unbake/1"

  struct FileRow: Encodable, Sendable {
    var path: String
    var contentSha256: String
  }

  /// Path of the restored file or folder.
  public let output: String
  let bytes: Int
  let files: [FileRow]

  /// Takes the hashes as they were verified when the files were written.
  public init(_ result: Unbake.Result) {
    output = result.output
    bytes = result.bytes
    files = result.files.map { FileRow(path: $0.path, contentSha256: $0.contentSHA256) }
  }

  /// A line for the size and one for each file with the first 12 digits of its hash; none depends on `width`.
  public func text(width: Int) -> String {
    var lines = [output, "  " + "size".padded(to: 16) + "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes)))"]
    for file in files {
      lines.append(
        "  " + "verified".padded(to: 16) + "\(file.path): SHA-256 of the tensors \(file.contentSha256.prefix(12))…")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
