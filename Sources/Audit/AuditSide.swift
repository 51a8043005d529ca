import Adapters
public import Baking
public import Checkpoints
public import Factoring
import Models
public import Tensors

/// One of the two things that an audit compares: adapters on the base, a checkpoint in its place, or adapters on such a
/// checkpoint.
public struct AuditSide: Sendable {
  /// What both sides of an audit have in common; an own checkpoint is compared with it.
  public let base: Checkpoint
  /// What stands in the base's place; `nil` where it is the base itself.
  public let checkpoint: Checkpoint?
  /// The adapters, on the side's own checkpoint or the base.
  public let stack: Stack
  /// Networks of the base that the side's own checkpoint lacks; the base's are used.
  let borrowed: Set<Component>

  /// Opens what is named; reads headers only.
  ///
  /// - Parameters:
  ///   - inputs: adapters with their strengths; one of them may be a checkpoint.
  ///   - base: what the adapters are used with, and what the checkpoint is compared with.
  /// - Throws: `AuditError`, and what the rooms of files throw.
  public init(_ inputs: [AdapterInput], base: Checkpoint) throws {
    var checkpoint: Checkpoint?, adapters: [(Adapter, AdapterInput)] = []
    for input in inputs {
      switch try Opened(input.path) {
      case .adapter(let adapter): adapters.append((adapter, input))
      case .checkpoint(let opened):
        guard checkpoint == nil else {
          throw AuditError(.side(reason: "expected one checkpoint on a side, found two"), path: input.path)
        }
        guard input.strength == 1, input.textEncoderStrength == 1 else {
          throw AuditError(
            .side(reason: "expected no strength, which a checkpoint has not, found one"), path: input.path)
        }
        checkpoint = opened
      }
    }
    let own = checkpoint ?? base
    borrowed = Set(Component.allCases.filter { !base.names(of: $0).isEmpty && own.names(of: $0).isEmpty })
    (self.base, self.checkpoint) = (base, checkpoint)
    stack = try Stack(adapters, on: own, allowing: .unknownTensors)
    for fit in stack.layers.map(\.fit) where fit.fittingCount == 0 {
      if let sentence = fit.familyMismatch {
        throw AuditError(.wrongFamily(sentence: sentence), path: fit.adapter.path)
      }
      throw AuditError(.noneFits, path: fit.adapter.path)
    }
  }

  private init(_ other: AuditSide, factor: Double) {
    (base, checkpoint, borrowed) = (other.base, other.checkpoint, other.borrowed)
    stack = other.stack.scaled(by: factor)
  }

  /// How the targets of each adapter find their weights, in the order of `inputs`.
  public var fits: [AdapterFit] { stack.layers.map(\.fit) }
  /// The adapters with the strengths that they have here; a checkpoint is not among them.
  public var inputs: [AdapterInput] { stack.layers.map(\.input) }

  /// The same with all adapters' strengths multiplied. What a checkpoint holds stays as it is.
  public func scaled(by factor: Double) -> AuditSide { factor == 1 ? self : AuditSide(self, factor: factor) }

  /// Whether all of its effect grows with a strength: it has adapters and no checkpoint of its own.
  public var hasStrength: Bool { checkpoint == nil && !inputs.isEmpty }

  /// For people: `style 0.8 + hero 0.6`, `baked`.
  public var label: String {
    let parts = (checkpoint.map { [$0.path.fileStem] } ?? []) + inputs.map(\.label)
    return parts.isEmpty ? "base" : parts.joined(separator: " + ")
  }

  /// Targets and tensors that have no place in the checkpoint or that no trainer writes, each with the reason.
  public var leftOut: [String] {
    fits.flatMap { fit in
      fit.entries.filter { $0.finding != .fits }.map { "\(fit.adapter.path): \($0.target): \($0.finding)" }
        + fit.adapter.unknown.map { "\(fit.adapter.path): \($0): a tensor that no known trainer writes" }
    }
  }

  /// What the user should know about its files.
  var warnings: [String] {
    var warnings = (checkpoint?.warnings ?? []) + leftOut
    for layer in stack.layers {
      warnings += layer.adapter.warnings + layer.notes
      warnings += layer.adapter.embeddings.map { "\(layer.adapter.path): \($0): an embedding, which is not used" }
    }
    return warnings + borrowed.sorted().map { "\(label): has no \($0.title); that of the base is used" }
  }

  /// What the side adds to a weight of the base: to its numbers, of which `original` has all.
  ///
  /// - Returns: `nil` where nothing is added and no other checkpoint could differ.
  /// - Throws: `AuditError.otherModel`, and what reading a weight throws.
  func change(of name: WeightName, shape: Shape, from original: Tensor) throws -> [Float]? {
    let isOwn = checkpoint != nil && !borrowed.contains(name.component)
    let delta = checkpoint == nil || isOwn ? try stack.weights.delta(named: name)?.floats() : nil
    guard isOwn, let checkpoint else { return delta }
    guard let weight = checkpoint.weight(named: name) else {
      throw AuditError(
        .otherModel(weight: name.path, expected: "a weight of \(shape)", found: "none"), path: checkpoint.path)
    }
    guard weight.shape.elementCount == shape.elementCount else {
      throw AuditError(
        .otherModel(weight: name.path, expected: "\(shape)", found: "\(weight.shape)"), path: checkpoint.path)
    }
    let stored = try checkpoint.weight(named: name, shape: weight.shape)
    let isSame =
      delta == nil && stored.dtype == original.dtype
      && stored.bytes.withUnsafeBytes { own in original.bytes.withUnsafeBytes { own.elementsEqual($0) } }
    if isSame { return nil }
    var change = stored.floats()
    let numbers = original.floats()
    for i in change.indices { change[i] -= numbers[i] }
    if let delta { for i in change.indices { change[i] += delta[i] } }
    return change
  }
}

extension AuditSide: WeightSource {
  /// The weight with the adapters added. A network that the side's own checkpoint lacks is the base's, without them.
  ///
  /// - Throws: what reading a weight throws.
  public func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    borrowed.contains(name.component)
      ? try base.weight(named: name, shape: shape) : try stack.weights.weight(named: name, shape: shape)
  }
}

extension AuditSide {
  /// The weight with the adapters added, as codes of the base can store it; `nil` where nothing is added to codes.
  ///
  /// - Throws: what reading a weight throws.
  func weightInOwnCodes(named name: WeightName, shape: Shape) throws -> Tensor? {
    borrowed.contains(name.component) ? nil : try stack.weights.weightInOwnCodes(named: name, shape: shape)
  }
}

/// What stands behind a name on the command line.
private enum Opened {
  case adapter(Adapter)
  case checkpoint(Checkpoint)

  /// - Throws: what the likelier of the two throws: a folder with an adapter's configuration, or a file with targets, is an
  ///   adapter.
  init(_ path: String) throws {
    let adapter = Result { try Adapter(path: path) }
    if case .success(let adapter) = adapter,
      !(adapter.targets.isEmpty && adapter.dependents.isEmpty && adapter.unsupported.isEmpty)
    {
      self = .adapter(adapter)
      return
    }
    guard let checkpoint = try? Checkpoint(path: path), !checkpoint.names(of: .denoiser).isEmpty else {
      self = .adapter(try adapter.get())
      return
    }
    self = .checkpoint(checkpoint)
  }
}
