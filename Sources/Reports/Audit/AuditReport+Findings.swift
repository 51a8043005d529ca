public import JSON

extension AuditReport {
  /// A picture before and after.
  public struct Picture: Codable, Sendable {
    /// What both pictures show, as it was asked for.
    public var prompt: String
    /// The negative prompt; `null` for none.
    @Explicit public var negative: String?
    /// Of the noise that both begin with.
    public var seed: UInt64
    /// What the strengths of all adapters were multiplied with; 1 where a side has a checkpoint of its own.
    public var strength: Double
    /// Path beside the report: `pictures/01-before.png`.
    public var before: String
    /// Path beside the report: `pictures/01-after.png`.
    public var after: String
    /// A heat map of the difference.
    public var difference: String
    /// Of the two pictures.
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
    /// A picture with the change, beside the one before without it.
    public struct Row: Codable, Sendable {
      /// What the picture shows, as it was asked for.
      public var prompt: String
      /// Of the noise that the picture begins with.
      public var seed: UInt64
      /// What the strengths of all adapters were multiplied with: the largest of the scene's.
      public var strength: Double
      /// Path beside the report: `pictures/null-1-01.png`.
      public var picture: String
      /// Of the picture to the one before, without the change.
      public var likeness: Likeness

      public init(prompt: String, seed: UInt64, strength: Double, picture: String, likeness: Likeness) {
        (self.prompt, self.seed, self.strength, self.picture) = (prompt, seed, strength, picture)
        self.likeness = likeness
      }
    }

    /// For people: `weights of 16 bits`.
    public var name: String
    /// One sentence.
    public var meaning: String
    /// One for each scene.
    public var rows: [Row]

    public init(name: String, meaning: String, rows: [Row]) {
      (self.name, self.meaning, self.rows) = (name, meaning, rows)
    }
  }

  /// What it takes to use the base alone, with what was before, and with what came after.
  public struct Cost: Codable, Sendable {
    /// `base alone`, `before`, `after`
    public var name: String
    /// How many there are: none of the base alone.
    public var adapters: Int
    /// Of the adapters' files, or of the checkpoint that stands in the base's place.
    public var fileBytes: Int
    /// Of the factors that a client keeps in memory beside the model, as they are stored.
    public var factorBytes: Int
    /// For reading all weights and computing what is added to them.
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
    /// The part of the network: `down_blocks.1`.
    public var block: String
    /// Without zeros; empty where nothing is added before, or not by adapters alone.
    public var before: [Double]
    /// Without zeros; empty where nothing is added after, or not by adapters alone.
    public var after: [Double]

    public init(block: String, before: [Double], after: [Double]) {
      (self.block, self.before, self.after) = (block, before, after)
    }
  }

  /// File size against relative error: the best that a resize of what was before can do.
  public struct Curve: Codable, Sendable {
    /// A file's size with its error.
    public struct Point: Codable, Sendable {
      /// The size of the file, or of all files of a side.
      public var bytes: Int
      /// ‖D − D'‖ ÷ ‖D‖ of what it adds to the weights.
      public var relativeError: Double

      public init(bytes: Int, relativeError: Double) { (self.bytes, self.relativeError) = (bytes, relativeError) }
    }

    /// From the smallest file to the one that keeps everything; errors are those before rounding.
    public var points: [Point]
    /// The adapters before, which have no error.
    public var before: Point
    /// The adapters after, with the error that was measured.
    public var after: Point

    public init(points: [Point], before: Point, after: Point) {
      (self.points, self.before, self.after) = (points, before, after)
    }
  }

  /// How one adapter of a stack disturbs another.
  public struct CrossTalk: Codable, Sendable {
    /// The adapter that disturbs, with its strength: `style 0.8`.
    public var source: String
    /// The adapter that is disturbed, with its strength.
    public var target: String
    /// Of the two deltas over all their targets, from −1 to 1; `null` where one is zero.
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
}
