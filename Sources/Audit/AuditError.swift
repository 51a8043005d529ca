/// Why an audit could not be made.
public struct AuditError: Error, CustomStringConvertible {
  public enum Kind: Sendable {
    /// A side of the comparison is neither adapters nor a checkpoint, or more than one checkpoint.
    case side(reason: String)
    /// A checkpoint of another model.
    case otherModel(weight: String, expected: String, found: String)
    case wrongFamily(sentence: String)
    case noneFits
    /// What the other result is compared with is broken itself.
    case brokenBefore(weight: String, count: Int)
    case noEffect
    /// An earlier report that cannot be compared with.
    case otherAudit(reason: String)
  }

  public let kind: Kind
  public let path: String

  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  public var description: String {
    switch kind {
    case .side(let reason): "\(path): \(reason)"
    case .otherModel(let weight, let expected, let found):
      "\(path): \(weight): expected \(expected) as in the base, found \(found); hint: this is a checkpoint of another model"
    case .wrongFamily(let sentence): "\(path): \(sentence); hint: lathe check shows what fits"
    case .noneFits: "\(path): expected targets that the base has, found none; hint: lathe check says what is missing"
    case .brokenBefore(let weight, let count):
      "\(path): \(weight): expected finite numbers, found \(count) NaN or infinite; hint: there is nothing to compare with"
    case .noEffect: "\(path): expected something that changes the base, found no effect; hint: its strength may be 0"
    case .otherAudit(let reason):
      "\(path): \(reason); hint: compare with an audit of the same base and pictures, or leave out --against"
    }
  }
}
