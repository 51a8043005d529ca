public import Tensors

/// Why an adapter cannot be read or worked on.
public struct AdapterError: Error, CustomStringConvertible {
  /// What went wrong: another kind of file, a configuration that cannot be used, or a fatal problem of a target or
  /// tensor.
  public enum Kind: Sendable {
    case notAnAdapter(reason: String)
    case configuration(reason: String)
    case problem(AdapterProblem)
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The adapter's file or folder.
  public let path: String

  /// An error about the adapter at `path`, which begins its message.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(message)" }

  /// The message without the file's name.
  public var message: String {
    switch kind {
    case .notAnAdapter(let reason): "expected an adapter, \(reason)"
    case .configuration(let reason): "adapter_config.json: \(reason)"
    case .problem(let problem): problem.description
    }
  }
}

/// Something about an adapter that its owner should know.
public struct AdapterProblem: Sendable, Equatable, CustomStringConvertible {
  /// What is the matter. Names and shapes are as the file has them; `isFatal` says which kinds stop the work.
  public enum Kind: Sendable, Equatable {
    case unsupported(Algorithm)
    case needsBase(Algorithm)
    case notInBase(Algorithm, reason: String)
    case refusedConfiguration(field: String)
    case missingFactor(expected: String)
    case factorShape(expected: String, found: String)
    case unreadable(DType)
    case unknownTensor
    case duplicateTarget(other: String)
    case alphaNotScalar(found: Shape)
    case alphaNotFinite(found: Double)
    case scaleOutOfRange(found: Double)
    case alphaZero
    case pruned
    case rankAboveDimensions(rank: Int, rows: Int, columns: Int)
    case configuredRank(expected: Int, found: Int)
    case changedBase(method: String)
    case assumedStart
    case otherBaseWeight
    case splitProjections
    case familyMetadata(expected: String, found: String)
    case severalFamilies([String])
    case staleHash(field: String, expected: String, found: String)
    case notFinite(factor: String, count: Int)
    case dead
    /// Nearly all of the delta is in one direction, far stronger than other targets are.
    case spike
    /// The delta is stronger in one direction than the weight itself in any.
    case overpowersBase
    case noSingularValues
    case oddHeader(String)
    case loadersDisagree(scales: String, needsOtherNames: Bool)
    case loadsNowhere
  }

  /// What is the matter, for those who add a hint to it.
  public let kind: Kind
  /// The target or tensor it is about; `nil` for the whole file.
  public let target: String?

  /// A problem of one target or tensor, by its name in the file, or of the whole file.
  public init(_ kind: Kind, target: String? = nil) {
    self.kind = kind
    self.target = target
  }

  /// Whether the file cannot be worked on as it is.
  public var isFatal: Bool {
    switch kind {
    case .unsupported, .needsBase, .notInBase, .refusedConfiguration, .missingFactor, .factorShape, .unreadable,
      .unknownTensor,
      .duplicateTarget,
      .alphaNotScalar, .alphaNotFinite, .scaleOutOfRange, .notFinite, .noSingularValues:
      true
    case .alphaZero, .pruned, .rankAboveDimensions, .configuredRank, .changedBase, .assumedStart, .otherBaseWeight,
      .splitProjections,
      .familyMetadata, .severalFamilies,
      .staleHash,
      .dead, .spike, .overpowersBase, .oddHeader, .loadersDisagree, .loadsNowhere:
      false
    }
  }

  /// Whether it is about a target whose delta depends on the base weight.
  public var dependsOnBase: Bool {
    switch kind {
    case .needsBase, .notInBase: true
    default: false
    }
  }

  /// Whether it is about the model that the adapter belongs to.
  var isAboutFamily: Bool {
    switch kind {
    case .familyMetadata, .severalFamilies: true
    default: false
    }
  }

  /// One line without a hint, beginning with the target where there is one.
  public var description: String { description { _ in nil } }

  /// - Parameter hint: what to try about a kind of problem, in the words of whoever shows it.
  public func description(hint: (Kind) -> String?) -> String { (target.map { "\($0): " } ?? "") + message(hint) }

  /// One line for each kind of problem, with the first target and how many others have the same.
  ///
  /// - Parameter hint: what to try about a kind of problem, in the words of whoever shows it.
  public static func grouped(_ problems: [AdapterProblem], hint: (Kind) -> String? = { _ in nil }) -> [String] {
    var order: [String] = [], targets: [String: [String]] = [:]
    for problem in problems {
      let message = problem.message(hint)
      if targets[message] == nil { order.append(message) }
      targets[message, default: []] += problem.target.map { [$0] } ?? []
    }
    return order.map { message in
      let names = targets[message]!
      guard let first = names.first else { return message }
      return "\(first)\(names.count > 1 ? " and \(names.count - 1) more" : ""): \(message)"
    }
  }

  private func message(_ hint: (Kind) -> String?) -> String {
    message + (hint(kind).map { "; hint: \($0)" } ?? "")
  }

  private var message: String {
    switch kind {
    case .unsupported(let algorithm):
      "algorithm: expected one that this version works on, found \(algorithm.rawValue)"
        + (algorithm.refusal.map { ": \($0)" } ?? "")
    case .needsBase(let algorithm):
      "\(algorithm.rawValue) depends on the base weight: expected a base, found none"
    case .notInBase(let algorithm, let reason):
      "\(algorithm.rawValue) depends on the base weight: \(reason); hint: check that it is the right base"
    case .refusedConfiguration(let field): "adapter_config.json: \(field): no delta can be computed with this setting"
    case .missingFactor(let expected): "factors: expected \(expected), found none; hint: the file is incomplete"
    case .factorShape(let expected, let found): "shape: expected \(expected), found \(found)"
    case .unreadable(let dtype): "dtype: expected a number format that can be read, found \(dtype.rawValue)"
    case .unknownTensor: "name: expected a known adapter tensor, found this one"
    case .duplicateTarget(let other): "name: expected each target once, found it again as \(other)"
    case .alphaNotScalar(let found): "alpha: expected one number, found shape \(found)"
    case .alphaNotFinite(let found): "alpha: expected a finite number, found \(found)"
    case .scaleOutOfRange(let found): "scale: expected 0 or a number of 1e-100 to 1e100, found \(found)"
    case .alphaZero: "alpha is 0: the target has no effect (some trainers meant alpha = rank)"
    case .pruned: "rank 0: every component was pruned, so that the delta is zero; passed over"
    case .rankAboveDimensions(let rank, let rows, let columns):
      "rank \(rank) is above the smaller side of \(rows) × \(columns): the factors are larger than they need be"
    case .configuredRank(let expected, let found): "rank: the configuration says \(expected), the tensors have \(found)"
    case .changedBase(let method):
      "initialised by \(method), which changes the base: right only on that base, unless the trainer converted it on saving"
    case .assumedStart:
      "t-lora does not say what its factors began with: taken to be the weight's leading singular vectors, the default"
    case .otherBaseWeight: "differs from the base's weight of this name: this one is put in its place, as PEFT does"
    case .splitProjections:
      "trained with split_qkv: the trained strength was higher than alpha/rank of the fused file says"
    case .familyMetadata(let expected, let found): "metadata says \(found), the shapes say \(expected)"
    case .severalFamilies(let names):
      "names and shapes fit \(names.joined(separator: " and ")) alike: the model's family is not known"
    case .staleHash(let field, let expected, let found):
      "\(field): expected \(expected.prefix(12)), found \(found.prefix(12)); the tensors changed after it was written"
    case .notFinite(let factor, let count): "\(factor): expected finite values, found \(count) NaN or infinite"
    case .dead: "the delta is zero: the target was never trained"
    case .spike:
      "a spike: nearly all of its delta is in one direction, over eight times as strong as others are; it may spoil what is drawn with more adapters"
    case .overpowersBase:
      "a spike: in one direction its delta is over twice as strong as the weight is in any; it may spoil what is drawn with more adapters"
    case .noSingularValues:
      "its delta needs the base weight's singular values: expected finite numbers and an iteration that converges, found others"
    case .oddHeader(let text): text
    case .loadersDisagree(let scales, _): "scale: expected the same in every loader, found \(scales)"
    case .loadsNowhere: "names: expected some that a current loader reads, found none"
    }
  }
}

extension Adapter {
  /// What reading found that keeps nobody from working with it: a line for each kind, beginning with the file.
  package var warnings: [String] {
    AdapterProblem.grouped(problems.filter { !$0.isFatal }).map { "\(path): \($0)" }
  }
}
