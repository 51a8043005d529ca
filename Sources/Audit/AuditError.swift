/// Why an audit could not be made.
public struct AuditError: Error, CustomStringConvertible {
  /// What stands in the way, with what its message tells.
  public enum Kind: Sendable {
    /// A side of the comparison is neither adapters nor a checkpoint, or more than one checkpoint.
    case side(reason: String)
    /// A checkpoint of another model.
    case otherModel(weight: String, expected: String, found: String)
    /// Adapters of a family that the base is not of; the sentence says which two.
    case wrongFamily(sentence: String)
    /// No target of an adapter has its place.
    case noneFits
    /// What the other result is compared with is broken itself.
    case brokenBefore(weight: String, count: Int)
    /// What the other result is compared with adds nothing to the base.
    case noEffect
    /// An earlier report that cannot be compared with.
    case otherAudit(reason: String)
    /// Not even a whole adapter keeps a limit that the smallest is searched for.
    case noneGoodEnough(limit: String, best: Double, dtype: String)
  }

  /// What went wrong.
  public let kind: Kind
  /// Of the adapter, the checkpoint or the report that it is about.
  public let path: String

  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The path and the message, as people get to read them.
  public var description: String { "\(path): \(message)" }

  /// The message without the file's name.
  public var message: String {
    switch kind {
    case .side(let reason): reason
    case .otherModel(let weight, let expected, let found):
      "\(weight): expected \(expected) as in the base, found \(found); hint: this is a checkpoint of another model"
    case .wrongFamily(let sentence): sentence
    case .noneFits: "expected targets that the base has, found none"
    case .brokenBefore(let weight, let count):
      "\(weight): expected finite numbers, found \(count) NaN or infinite; hint: there is nothing to compare with"
    case .noEffect: "expected something that changes the base, found no effect; hint: its strength may be 0"
    case .otherAudit(let reason): "\(reason); hint: compare with an audit of the same base and pictures"
    case .noneGoodEnough(let limit, let best, let dtype):
      "\(limit): expected the whole adapter to keep the limit, found \(best) with all its components in \(dtype); hint: a "
        + "looser limit"
    }
  }
}
