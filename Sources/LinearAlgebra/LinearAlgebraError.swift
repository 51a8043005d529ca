import Tensors

/// A factorisation that could not be computed.
public struct LinearAlgebraError: Error, Equatable, CustomStringConvertible {
  /// What kept it from being computed.
  public enum Kind: Equatable, Sendable {
    /// The iteration for singular values did not converge.
    case noConvergence
    /// An input holds NaN or infinity.
    case notFinite
    /// A limit on addresses leaves no room to multiply in.
    case addressSpace(needed: Int, free: Int)
  }

  /// What kept it from being computed, for those who add which target it was.
  public let kind: Kind
  /// Without a file or a target: those who call know them.
  public init(_ kind: Kind) { self.kind = kind }

  /// The message, with a hint where one helps.
  public var description: String {
    switch kind {
    case .noConvergence: "the singular value iteration did not converge"
    case .addressSpace(let needed, let free):
      "address space: expected \(ByteCount(needed)) more, found \(ByteCount(free)); hint: ulimit -v limits it"
    case .notFinite: "the values contain NaN or infinity"
    }
  }
}
