import Checkpoints
import Factoring
import Files
public import JSON
import Models

/// All that is needed to make the report again.
public struct AuditRecipe: Codable, Sendable {
  /// A file that the audit read.
  public struct Source: Codable, Sendable {
    public var path: String
    public var bytes: Int
    /// 64 digits; `nil` where hashing was not wanted.
    @Explicit public var sha256: String?

    public init(path: String, bytes: Int, sha256: String?) {
      (self.path, self.bytes) = (path, bytes)
      self.sha256 = sha256
    }
  }

  public struct Adapter: Codable, Sendable {
    public var file: Source
    public var strength: Double
    public var textEncoderStrength: Double
    public var targets: Int
    /// How many of the targets have their place in the base.
    public var fitting: Int

    public init(file: Source, strength: Double, textEncoderStrength: Double, targets: Int, fitting: Int) {
      (self.file, self.strength, self.textEncoderStrength) = (file, strength, textEncoderStrength)
      (self.targets, self.fitting) = (targets, fitting)
    }
  }

  /// One of the two that are compared.
  public struct Side: Codable, Sendable {
    /// For people: `style 0.8 + hero 0.6`.
    public var label: String
    /// Files of its checkpoint; empty where it is the base's.
    public var checkpoint: [Source]
    public var adapters: [Adapter]

    public init(label: String, checkpoint: [Source], adapters: [Adapter]) {
      (self.label, self.checkpoint, self.adapters) = (label, checkpoint, adapters)
    }
  }

  public var version: String
  /// The command line.
  public var command: [String]
  public var base: [Source]
  public var family: String
  public var before: Side
  public var after: Side
  public var scenes: [AuditScene]
  public var sampler: String
  public var steps: Int
  public var cfg: Double
  public var rng: String
  /// The UNet's arithmetic.
  public var dtype: String

  public init(
    version: String, command: [String], base: [Source], family: String, before: Side, after: Side,
    scenes: [AuditScene],
    sampler: String, steps: Int, cfg: Double, rng: String, dtype: String
  ) {
    (self.version, self.command, self.base, self.family) = (version, command, base, family)
    (self.before, self.after, self.scenes) = (before, after, scenes)
    (self.sampler, self.steps, self.cfg, self.rng, self.dtype) = (sampler, steps, cfg, rng, dtype)
  }
}

extension AuditRecipe {
  /// Of a plan, whose files are read whole for their hashes.
  ///
  /// - Parameters:
  ///   - command: what the audit was asked for with, word by word.
  ///   - hashes: `nil` for no hashes.
  /// - Throws: what opening a file throws.
  public init(_ plan: AuditPlan, command: [String], hashes: KnownHashes?) throws {
    func source(_ file: String, named name: String) throws -> Source {
      let mapped = try MappedFile(path: file)
      return Source(path: name, bytes: mapped.count, sha256: hashes?.sha256(of: mapped))
    }
    func sources(_ checkpoint: Checkpoint) throws -> [Source] {
      try checkpoint.files.map { try source($0.contents.path, named: $0.contents.path) }
    }
    func side(_ side: AuditSide) throws -> Side {
      Side(
        label: side.label, checkpoint: try side.checkpoint.map { try sources($0) } ?? [],
        adapters: try zip(side.fits, side.inputs).map { fit, input in
          Adapter(
            file: try source(fit.adapter.tensorFile, named: fit.adapter.path), strength: input.strength,
            textEncoderStrength: input.textEncoderStrength, targets: fit.entries.count, fitting: fit.fittingCount)
        })
    }
    let request = plan.rendering?.request
    self.init(
      version: ToolVersion.current, command: command, base: try sources(plan.base), family: plan.base.family.name,
      before: try side(plan.before), after: try side(plan.after), scenes: plan.scenes,
      sampler: request?.sampler.rawValue ?? "", steps: request?.steps ?? 0, cfg: Double(request?.guidance.scale ?? 0),
      rng: request?.generator.rawValue ?? "", dtype: plan.rendering?.precision.rawValue ?? "")
  }

  /// What decides whether the numbers of two audits can be compared.
  public var conditions: AuditConditions {
    let hashes = base.compactMap(\.sha256)
    return AuditConditions(
      base: hashes.count == base.count ? hashes : nil, scenes: scenes, sampler: sampler, steps: steps, cfg: cfg,
      precision: dtype, rng: rng)
  }
}
