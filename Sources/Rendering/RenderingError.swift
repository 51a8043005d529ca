import Networks
import Tensors

/// What keeps a model from being rendered or a picture from being made.
public struct RenderingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong, with a hint where there is one to give.
  public enum Kind: Equatable, Sendable {
    /// A network or a file that the model lacks.
    case missing(String, hint: String?)
    /// A VAE: the model has none, or the file that was given in its place.
    case noAutoencoder(isApart: Bool)
    case unsupported(what: String, expected: String, found: String, hint: String?)
    /// Settings of a scheduler that cannot be used, in whole words.
    case settings(reason: String)
    /// A picture or an intermediate result with numbers that are not finite.
    case notFinite(what: String, count: Int, hint: String)
    /// A limit on the process's addresses leaves too little, in bytes.
    case addressSpace(needed: Int, free: Int)
  }

  /// What went wrong, for those who show it in their own way.
  public let kind: Kind
  /// The file that it is about, which begins the message; `nil` for none.
  public let file: String?

  /// An error about a file, or about none.
  public init(_ kind: Kind, file: String? = nil) {
    self.kind = kind
    self.file = file
  }

  /// Throws where a prediction has numbers that are not finite.
  static func refuseNotFinite(_ values: [Float], _ what: String, file: String) throws {
    let count = values.count { !$0.isFinite }
    guard count == 0 else {
      throw RenderingError(
        .notFinite(
          what: what, count: count, hint: "the checkpoint or an adapter is broken, or a strength far too large"),
        file: file)
    }
  }

  /// The whole message: file, what was expected, what was found, hint.
  public var description: String { (file.map { "\($0): " } ?? "") + message }

  /// What is wrong, without the file.
  package var message: String {
    switch kind {
    case .noAutoencoder: "expected a VAE, found none"
    case .missing(let what, let hint): "expected \(what), found none" + Self.hint(hint)
    case .unsupported(let what, let expected, let found, let hint):
      "\(what): expected \(expected), found \(found)" + Self.hint(hint)
    case .settings(let reason): reason
    case .notFinite(let what, let count, let hint):
      "\(what): expected finite numbers, found \(count) that are not" + Self.hint(hint)
    case .addressSpace(let needed, let free):
      "address space: expected about \(ByteCount(needed)) more, found \(ByteCount(free)); hint: ulimit -v limits it"
    }
  }

  private static func hint(_ text: String?) -> String { text.map { "; hint: \($0)" } ?? "" }
}

extension RenderingError {
  /// What a network refuses, for those above, who know no networks.
  init(_ error: NetworkError) {
    switch error.kind {
    case .missing(let what, let hint): self.init(.missing(what, hint: hint), file: error.file)
    case .noAutoencoder: self.init(.noAutoencoder(isApart: true), file: error.file)
    case .configuration(let what, let expected, let found), .shape(let what, let expected, let found):
      self.init(.unsupported(what: what, expected: expected, found: found, hint: nil), file: error.file)
    }
  }

  /// Does what may throw a network's error, and throws it as one of this room.
  static func ofNetworks<Result>(_ work: () throws -> Result) throws -> Result {
    do { return try work() } catch let error as NetworkError { throw RenderingError(error) }
  }
}
