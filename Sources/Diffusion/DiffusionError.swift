import Tensors

/// What keeps a model from being built or a picture from being made.
public struct DiffusionError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// A network or a file that the model lacks.
    case missing(String, hint: String?)
    case configuration(field: String, expected: String, found: String)
    case unsupported(what: String, expected: String, found: String, hint: String?)
    /// Settings of a scheduler that cannot be used, in whole words.
    case settings(reason: String)
    /// A picture or an intermediate result with numbers that are not finite.
    case notFinite(what: String, count: Int, hint: String)
    /// A limit on the process's addresses leaves too little, in bytes.
    case addressSpace(needed: Int, free: Int)
  }

  public let kind: Kind
  public let file: String?

  public init(_ kind: Kind, file: String? = nil) {
    self.kind = kind
    self.file = file
  }

  /// Throws where a prediction has numbers that are not finite.
  static func refuseNotFinite(_ values: [Float], _ what: String, file: String) throws {
    let count = values.count { !$0.isFinite }
    guard count == 0 else {
      throw DiffusionError(
        .notFinite(
          what: what, count: count, hint: "the checkpoint or an adapter is broken, or a strength far too large"),
        file: file)
    }
  }

  public var description: String {
    let message =
      switch kind {
      case .missing(let what, let hint): "expected \(what), found none" + Self.hint(hint)
      case .configuration(let field, let expected, let found): "\(field): expected \(expected), found \(found)"
      case .unsupported(let what, let expected, let found, let hint):
        "\(what): expected \(expected), found \(found)" + Self.hint(hint)
      case .settings(let reason): reason
      case .notFinite(let what, let count, let hint):
        "\(what): expected finite numbers, found \(count) that are not" + Self.hint(hint)
      case .addressSpace(let needed, let free):
        "address space: expected about \(ByteCount(needed)) more, found \(ByteCount(free)); hint: ulimit -v limits it"
      }
    return (file.map { "\($0): " } ?? "") + message
  }

  private static func hint(_ text: String?) -> String { text.map { "; hint: \($0)" } ?? "" }
}
