import Checkpoints
import Factoring
import Files
public import JSON
import Models

/// All that is needed to make the report again.
public struct AuditRecipe: Codable, Sendable {
  /// A file that the audit read.
  public struct Source: Codable, Sendable {
    /// As the audit opened it; of an adapter in a folder the folder's.
    public var path: String
    /// The size of the whole file.
    public var bytes: Int
    /// 64 digits; `nil` where hashing was not wanted.
    @Explicit public var sha256: String?

    public init(path: String, bytes: Int, sha256: String?) {
      (self.path, self.bytes) = (path, bytes)
      self.sha256 = sha256
    }
  }

  /// An adapter as a side has it.
  public struct Adapter: Codable, Sendable {
    /// Of an adapter in a folder the path is the folder's, bytes and hash are those of its file of tensors.
    public var file: Source
    /// For targets of the denoiser.
    public var strength: Double
    /// For targets of text encoders.
    public var textEncoderStrength: Double
    /// How many there are in the file, those that cannot be used too.
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
    /// In the order in which they were given.
    public var adapters: [Adapter]

    public init(label: String, checkpoint: [Source], adapters: [Adapter]) {
      (self.label, self.checkpoint, self.adapters) = (label, checkpoint, adapters)
    }
  }

  /// Of Lathe.
  public var version: String
  /// The command line.
  public var command: [String]
  /// Files of the base's checkpoint.
  public var base: [Source]
  /// The kind of model, by its name for people: `SDXL`.
  public var family: String
  /// What the other side is compared with.
  public var before: Side
  /// What is checked.
  public var after: Side
  /// What was rendered, with the strengths that were used; none without pictures.
  public var scenes: [AuditScene]
  /// By its name on the command line: `dpm++2m`; empty where only weights were looked at.
  public var sampler: String
  /// Of each picture; 0 where only weights were looked at.
  public var steps: Int
  /// The scale of classifier-free guidance; 0 where only weights were looked at.
  public var cfg: Double
  /// Whose random numbers the noise is: `torch` or `philox`; empty where only weights were looked at.
  public var rng: String
  /// The denoiser's arithmetic: `f32` or `bf16`; empty where only weights were looked at.
  public var dtype: String
  /// What was rendered by earlier audits and not again: `the base`, and harmless changes; `nil` for nothing.
  public var reused: [String]?

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
