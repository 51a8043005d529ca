import Models

/// What an audit found: whether what came after is still what was before.
///
/// It is written as `report.json`, and read back by a later audit that compares itself with it.
public struct AuditReport: JSONReport, Decodable {
  public static let schema = "lathe.audit/1"

  /// What was looked at, with its limit.
  public struct Check: Codable, Sendable {
    /// For scripts: `weights.relative_error`.
    public var name: String
    /// For people: `relative error of the weights`.
    public var title: String
    /// `nil` when it could not be measured.
    @Explicit public var value: Double?
    public var limit: Double
    /// Whether larger values are better, so that the limit is the least that passes.
    public var isLeast: Bool
    public var pass: Bool
    /// The same measure of a change that everybody accepts; `nil` where there is none.
    @Explicit public var null: Double?
    /// Where the worst case is: a weight, a block, a prompt with its strength.
    @Explicit public var worst: String?
    /// One sentence: what the number means.
    public var meaning: String
    /// One sentence: what to do about it. Empty when nothing needs to be done.
    public var advice: String

    public init(
      name: String, title: String, value: Double?, limit: Double, isLeast: Bool, pass: Bool, null: Double?,
      worst: String?, meaning: String, advice: String
    ) {
      (self.name, self.title, self.limit, self.isLeast, self.pass) = (name, title, limit, isLeast, pass)
      (self.meaning, self.advice) = (meaning, advice)
      self.value = value
      self.null = null
      self.worst = worst
    }
  }

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

  /// A prompt with what belongs to it.
  public struct Scene: Codable, Sendable, Equatable {
    public var prompt: String
    @Explicit public var negative: String?
    public var seed: UInt64
    /// `512x768`: width, then height.
    public var size: String
    public var strengths: [Double]

    public init(prompt: String, negative: String?, seed: UInt64, size: String, strengths: [Double]) {
      (self.prompt, self.seed, self.size, self.strengths) = (prompt, seed, size, strengths)
      self.negative = negative
    }
  }

  /// All that is needed to make the report again.
  public struct Recipe: Codable, Sendable {
    public var version: String
    /// The command line.
    public var command: [String]
    public var base: [Source]
    public var family: String
    public var before: Side
    public var after: Side
    public var scenes: [Scene]
    public var sampler: String
    public var steps: Int
    public var cfg: Double
    public var rng: String
    /// The UNet's arithmetic.
    public var dtype: String

    public init(
      version: String, command: [String], base: [Source], family: String, before: Side, after: Side, scenes: [Scene],
      sampler: String, steps: Int, cfg: Double, rng: String, dtype: String
    ) {
      (self.version, self.command, self.base, self.family) = (version, command, base, family)
      (self.before, self.after, self.scenes) = (before, after, scenes)
      (self.sampler, self.steps, self.cfg, self.rng, self.dtype) = (sampler, steps, cfg, rng, dtype)
    }
  }

  /// `within noise`, `visible but small` or `different`.
  public var verdict: String
  /// Whether all checks pass.
  public var passed: Bool
  /// One sentence for people.
  public var summary: String
  /// Sentences that explain a failure, the likeliest cause first.
  public var reasons: [String]
  public var checks: [Check]
  /// What was left out, each with its reason.
  public var notMeasured: [String]
  public var warnings: [String]
  public var recipe: Recipe
  @Explicit public var weights: Weights?
  @Explicit public var probe: Probe?
  public var pictures: [Picture]
  public var nulls: [Null]
  public var costs: [Cost]
  public var spectra: [BlockSpectrum]
  @Explicit public var curve: Curve?
  public var crossTalk: [CrossTalk]
  /// Of the whole audit.
  public var seconds: Double

  public init(
    verdict: String, passed: Bool, summary: String, reasons: [String], checks: [Check], notMeasured: [String],
    warnings: [String], recipe: Recipe, weights: Weights?, probe: Probe?, pictures: [Picture], nulls: [Null],
    costs: [Cost], spectra: [BlockSpectrum], curve: Curve?, crossTalk: [CrossTalk], seconds: Double
  ) {
    (self.verdict, self.passed, self.summary, self.reasons) = (verdict, passed, summary, reasons)
    (self.checks, self.notMeasured, self.warnings, self.recipe) = (checks, notMeasured, warnings, recipe)
    (self.pictures, self.nulls, self.costs, self.spectra) = (pictures, nulls, costs, spectra)
    (self.crossTalk, self.seconds) = (crossTalk, seconds)
    self.weights = weights
    self.probe = probe
    self.curve = curve
  }
}
