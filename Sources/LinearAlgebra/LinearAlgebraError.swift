/// A factorisation that could not be computed.
public struct LinearAlgebraError: Error, Equatable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// The iteration for singular values did not converge.
    case noConvergence
    /// An input holds NaN or infinity.
    case notFinite
  }

  public let kind: Kind
  public init(_ kind: Kind) { self.kind = kind }

  public var description: String {
    switch kind {
    case .noConvergence: "the singular value iteration did not converge"
    case .notFinite: "the values contain NaN or infinity"
    }
  }
}
