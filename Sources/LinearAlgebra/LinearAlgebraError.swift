import Tensors

/// A factorisation that could not be computed.
public struct LinearAlgebraError: Error, Equatable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// The iteration for singular values did not converge.
    case noConvergence
    /// An input holds NaN or infinity.
    case notFinite
    /// A limit on addresses leaves no room to multiply in.
    case addressSpace(needed: Int, free: Int)
  }

  public let kind: Kind
  public init(_ kind: Kind) { self.kind = kind }

  public var description: String {
    switch kind {
    case .noConvergence: "the singular value iteration did not converge"
    case .addressSpace(let needed, let free):
      "address space: expected \(ByteCount(needed)) more, found \(ByteCount(free)); hint: ulimit -v limits it"
    case .notFinite: "the values contain NaN or infinity"
    }
  }
}
