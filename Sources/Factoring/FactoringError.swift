public import Adapters
public import Models
public import Tensors

/// Why an adapter could not be made as asked, for the reasons that resizes, merges, extracts and conversions have in common.
public struct FactoringError: Error, CustomStringConvertible {
  /// What went wrong; targets are spelled as in their files, limits are the user's.
  public enum Kind: Sendable {
    case differentFamilies(first: Family, file: String, other: Family)
    case noName(target: String, format: AdapterFormat)
    /// The same in an operation that keeps the format.
    case noNameToKeep(target: String, format: AdapterFormat)
    /// Adapters of several dialects that only their family's names can bring together, which can be any of these.
    case openFamily([Family])
    /// A module that the family's lists do not have, in the first of `count` targets.
    case noModule(target: String, family: Family, count: Int)
    case noNameInFamily(target: String, format: AdapterFormat, reason: String)
    case fusedAndSplit(fused: String, split: String)
    /// A method of merging with more or fewer adapters than it works with.
    case adapterCount(method: String, expected: ClosedRange<Int>, found: Int)
    /// A method of merging whose result has no exact factors, with a rule that says nothing of how many components there are.
    case needsRankOrSize(method: String, rule: String)
    case sameModule(target: String, other: String)
    case tooSmall(limit: ByteCount, smallest: ByteCount)
    case unreachableError(limit: Double, smallest: Double, dtype: DType)
    case overflow(target: String, dtype: DType)
    case lost(target: String, dtype: DType, share: Double, count: Int)
    case noAlpha(dtype: DType, format: AdapterFormat, isConversion: Bool)
    case needsFolder
    case conflictingTensor(name: String)
    case wholeWeight(name: String, strengths: Double, adapters: Int)
    case onlyWholeWeights
    case verification(target: String, what: String, expected: String, found: String)
    case blockWeights(reason: String)
    case nothingLeft
    case weightShape(tensor: String, expected: Shape, file: String, found: Shape)
    case notFinite(tensor: String, count: Int)
    case noDialectName(
      target: String, reason: String, format: AdapterFormat, count: Int, isFamilyOpen: Bool)
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The file that it is about, which begins the message.
  public let path: String

  /// An error about the file at `path`.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(message)" }

  /// What is wrong, without the file.
  package var message: String {
    switch kind {
    case .differentFamilies(let first, let file, let other):
      "family: expected \(first.name) as in \(file), found \(other.name)"
    case .noName(let target, let format), .noNameToKeep(let target, let format):
      "\(target): name: has no spelling in the \(format.rawValue) format"
    case .openFamily(let families):
      "family: expected one by which names of several dialects can be told to be the same, found names and shapes of "
        + families.map(\.name).joined(separator: " and ")
    case .noModule(let target, let family, let count):
      "\(target): name: expected a module of \(family.name), found none of this name"
        + (count > 1 ? " (and for \(count - 1) more targets)" : "")
    case .noNameInFamily(let target, let format, let reason):
      "\(target): name: expected one that the \(format.rawValue) dialect has, found none: \(reason)"
    case .fusedAndSplit(let fused, let split):
      "\(fused): expected all adapters to name the attention's projections alike, found \(split) beside it; hint: "
        + "merge adapters of one trainer's naming"
    case .adapterCount(let method, let expected, let found):
      "\(method): expected \(expected.lowerBound == expected.upperBound ? "\(expected.lowerBound)" : "at least \(expected.lowerBound)") adapters, found \(found)"
    case .needsRankOrSize(let method, let rule):
      "\(method): expected a rank or a size, since its result has no exact factors, found \(rule)"
    case .sameModule(let target, let other):
      "\(target): expected one name for each module, found \(other) beside it, which means the same one"
    case .tooSmall(let limit, let smallest):
      "size: expected at least \(smallest.bytes) bytes (\(smallest)), found a limit of \(limit.bytes) bytes"
    case .unreachableError(let limit, let smallest, let dtype):
      "max-error: expected at least \(Self.short(smallest)) in \(dtype.rawValue), found \(Self.short(limit))"
    case .overflow(let target, let dtype):
      "\(target): a value is too large for \(dtype.rawValue)"
    case .lost(let target, let dtype, let share, let count):
      "\(target): delta: expected one that \(dtype.rawValue) can hold, found \(Int((100 * share).rounded())) % of it lost to rounding"
        + (count > 1 ? " (and much of \(count - 1) more targets)" : "")
    case .noAlpha(let dtype, let format, isConversion: _):
      "\(dtype.rawValue) factors need an alpha to scale them, and the \(format.rawValue) names have none"
    case .needsFolder: "expected the name of a folder for a PEFT adapter, found a file's"
    case .conflictingTensor(let name): "\(name): the adapters have different tensors of this name"
    case .onlyWholeWeights: "expected targets with factors, found only whole weights and biases"
    case .wholeWeight(let name, let strengths, let adapters):
      "\(name): a whole weight: expected a base that tells what it replaces, or strengths of sum 1, found \(strengths.shortText)"
        + (adapters > 1 ? " in \(adapters) adapters" : "")
    case .verification(let target, let what, let expected, let found):
      "\(target): \(what): expected \(expected), found \(found) on reading the output again; the output was removed"
    case .blockWeights(let reason): "block weights: \(reason)"
    case .nothingLeft: "no component is left: every delta is zero"
    case .weightShape(let tensor, let expected, let file, let found):
      "\(tensor): shape: expected \(expected) as in \(file), found \(found)"
    case .notFinite(let tensor, let count):
      "\(tensor): expected finite numbers, found \(count) that are NaN or infinite"
    case .noDialectName(let target, let reason, let format, let count, isFamilyOpen: _):
      "\(target): name: expected one that the \(format.rawValue) dialect has, found none: \(reason)"
        + (count > 1 ? " (and \(count - 1) more targets)" : "")
    }
  }

  /// A share in six digits behind the point.
  package static func short(_ value: Double) -> String { "\((value * 1e6).rounded() / 1e6)" }
}
