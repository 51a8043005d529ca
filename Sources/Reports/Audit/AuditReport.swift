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

  /// Errors of one weight, or of a block of them. With D what is added to the base before, D' after, W the base.
  public struct WeightRow: Codable, Sendable {
    public var name: String
    public var block: String
    public var shape: [Int]
    /// ‖D − D'‖ ÷ ‖D‖. Infinite where nothing was added before.
    public var relativeError: Double
    /// ‖D − D'‖ ÷ ‖W‖
    public var baseRelativeError: Double
    /// ‖D‖, ‖D'‖, ‖D − D'‖
    public var normBefore: Double
    public var normAfter: Double
    public var difference: Double

    public init(
      name: String, block: String, shape: [Int], relativeError: Double, baseRelativeError: Double, normBefore: Double,
      normAfter: Double, difference: Double
    ) {
      (self.name, self.block, self.shape) = (name, block, shape)
      (self.relativeError, self.baseRelativeError) = (relativeError, baseRelativeError)
      (self.normBefore, self.normAfter, self.difference) = (normBefore, normAfter, difference)
    }
  }

  public struct Weights: Codable, Sendable {
    public var relativeError: Double
    public var baseRelativeError: Double
    /// The strength at which D stands in D'; neither what was cut off nor noise counts.
    public var scale: Double
    @Explicit public var cosine: Double?
    /// The relative error that rounding the adapted weights to f16 makes.
    public var null: Double
    public var blocks: [WeightRow]
    /// The changed weights, in the base's order.
    public var targets: [WeightRow]

    public init(
      relativeError: Double, baseRelativeError: Double, scale: Double, cosine: Double?, null: Double,
      blocks: [WeightRow], targets: [WeightRow]
    ) {
      (self.relativeError, self.baseRelativeError, self.scale) = (relativeError, baseRelativeError, scale)
      (self.null, self.blocks, self.targets) = (null, blocks, targets)
      self.cosine = cosine
    }
  }

  /// What the UNet predicts, before and after.
  public struct Probe: Codable, Sendable {
    public struct Row: Codable, Sendable {
      public var prompt: String
      /// 0 to 999, large for much noise.
      public var time: Double
      /// ‖ε − ε'‖ ÷ ‖ε‖
      public var relativeError: Double
      /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖
      public var effectError: Double
      /// The relative error of a change that everybody accepts.
      public var null: Double

      public init(prompt: String, time: Double, relativeError: Double, effectError: Double, null: Double) {
        (self.prompt, self.time, self.relativeError) = (prompt, time, relativeError)
        (self.effectError, self.null) = (effectError, null)
      }
    }

    public var size: String
    public var relativeError: Double
    public var effectError: Double
    public var null: Double
    public var rows: [Row]

    public init(size: String, relativeError: Double, effectError: Double, null: Double, rows: [Row]) {
      (self.size, self.relativeError, self.effectError) = (size, relativeError, effectError)
      (self.null, self.rows) = (null, rows)
    }
  }

  /// How alike two pictures are.
  public struct Likeness: Codable, Sendable {
    /// 90 and more: no difference is seen; 70: hardly; 50: clearly.
    public var ssimulacra2: Double
    public var msSsim: Double
    public var ssim: Double
    /// In dB; infinite for equal pictures.
    public var psnr: Double
    /// In levels of 255.
    public var greatestDifference: Int
    /// The share of pixels that differ at all.
    public var differingShare: Double

    public init(
      ssimulacra2: Double, msSsim: Double, ssim: Double, psnr: Double, greatestDifference: Int, differingShare: Double
    ) {
      (self.ssimulacra2, self.msSsim, self.ssim, self.psnr) = (ssimulacra2, msSsim, ssim, psnr)
      (self.greatestDifference, self.differingShare) = (greatestDifference, differingShare)
    }
  }

  /// A picture before and after.
  public struct Picture: Codable, Sendable {
    public var prompt: String
    @Explicit public var negative: String?
    public var seed: UInt64
    public var strength: Double
    /// Paths beside the report: `pictures/01-before.png`.
    public var before: String
    public var after: String
    /// A heat map of the difference.
    public var difference: String
    public var likeness: Likeness
    /// `within noise`, `visible but small` or `different`.
    public var verdict: String

    public init(
      prompt: String, negative: String?, seed: UInt64, strength: Double, before: String, after: String,
      difference: String, likeness: Likeness, verdict: String
    ) {
      (self.prompt, self.seed, self.strength) = (prompt, seed, strength)
      (self.before, self.after, self.difference) = (before, after, difference)
      (self.likeness, self.verdict) = (likeness, verdict)
      self.negative = negative
    }
  }

  /// A harmless change, made to see how much difference is none.
  public struct Null: Codable, Sendable {
    public struct Row: Codable, Sendable {
      public var prompt: String
      public var seed: UInt64
      public var strength: Double
      public var picture: String
      public var likeness: Likeness

      public init(prompt: String, seed: UInt64, strength: Double, picture: String, likeness: Likeness) {
        (self.prompt, self.seed, self.strength, self.picture) = (prompt, seed, strength, picture)
        self.likeness = likeness
      }
    }

    /// `f16 weights`
    public var name: String
    /// One sentence.
    public var meaning: String
    public var rows: [Row]

    public init(name: String, meaning: String, rows: [Row]) {
      (self.name, self.meaning, self.rows) = (name, meaning, rows)
    }
  }

  /// What it takes to use the base alone, with what was before, and with what came after.
  public struct Cost: Codable, Sendable {
    /// `base alone`, `before`, `after`
    public var name: String
    public var adapters: Int
    /// Of the adapters' files, or of the checkpoint that stands in the base's place.
    public var fileBytes: Int
    /// Of the factors that a client keeps in memory beside the model, as they are stored.
    public var factorBytes: Int
    /// For reading all weights with the adapters added.
    public var loadSeconds: Double
    /// Measured in this run; `nil` when no pictures were made. Adapters are added to the weights here, so it does not
    /// grow with their number.
    @Explicit public var secondsPerStep: Double?
    /// Multiplications in the factors ÷ multiplications in the weights they change: what clients that keep adapters apart
    /// compute more in those layers.
    public var extraArithmetic: Double

    public init(
      name: String, adapters: Int, fileBytes: Int, factorBytes: Int, loadSeconds: Double, secondsPerStep: Double?,
      extraArithmetic: Double
    ) {
      (self.name, self.adapters, self.fileBytes, self.factorBytes) = (name, adapters, fileBytes, factorBytes)
      (self.loadSeconds, self.extraArithmetic) = (loadSeconds, extraArithmetic)
      self.secondsPerStep = secondsPerStep
    }
  }

  /// The singular values of a block's targets together, largest first.
  public struct BlockSpectrum: Codable, Sendable {
    public var block: String
    public var before: [Double]
    public var after: [Double]

    public init(block: String, before: [Double], after: [Double]) {
      (self.block, self.before, self.after) = (block, before, after)
    }
  }

  /// File size against relative error: the best that a resize of what was before can do.
  public struct Curve: Codable, Sendable {
    public struct Point: Codable, Sendable {
      public var bytes: Int
      public var relativeError: Double

      public init(bytes: Int, relativeError: Double) { (self.bytes, self.relativeError) = (bytes, relativeError) }
    }

    public var points: [Point]
    public var before: Point
    public var after: Point

    public init(points: [Point], before: Point, after: Point) {
      (self.points, self.before, self.after) = (points, before, after)
    }
  }

  /// How one adapter of a stack disturbs another.
  public struct CrossTalk: Codable, Sendable {
    public var source: String
    public var target: String
    @Explicit public var cosine: Double?
    /// How strongly the source writes to the outputs that the target writes to; 0.3 and more is much.
    public var output: Double
    /// How strongly the source answers the inputs that the target listens to.
    public var input: Double

    public init(source: String, target: String, cosine: Double?, output: Double, input: Double) {
      (self.source, self.target, self.output, self.input) = (source, target, output, input)
      self.cosine = cosine
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
