/// Why a sheet cannot be planned.
public struct SheetError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What stands in the way, with what its message tells.
  public enum Kind: Equatable, Sendable {
    /// A tag of a prompt names an adapter that is in none of the folders.
    case noAdapter(tag: String, folders: [String])
    /// More than one sheet has; the product of the last three.
    case tooManyPictures(limit: Int, prompts: Int, seeds: Int, columns: Int)
  }

  /// What went wrong.
  public let kind: Kind

  public init(_ kind: Kind) { self.kind = kind }

  /// What was expected and what was found, in one line.
  public var description: String {
    switch kind {
    case .noAdapter(let tag, let folders):
      "prompt: <lora:\(tag)>: expected \(tag).safetensors in \(folders.joined(separator: ", ")), found none"
    case .tooManyPictures(let limit, let prompts, let seeds, let columns):
      "expected at most \(limit) pictures, found \(prompts) prompts x \(seeds) seeds x \(columns) columns"
    }
  }
}
