public import JSON

extension AuditReport {
  /// Errors of one weight, or of a block of them. With D what is added to the base before, D' after, W the base.
  public struct WeightRow: Codable, Sendable {
    /// Path of the weight as the engine knows it, without its component; of a block the block's name.
    public var name: String
    /// The part of the network: `down_blocks.1`.
    public var block: String
    /// Of the base's weight; empty for a block.
    public var shape: [Int]
    /// ‖D − D'‖ ÷ ‖D‖. Infinite where nothing was added before.
    public var relativeError: Double
    /// ‖D − D'‖ ÷ ‖W‖
    public var baseRelativeError: Double
    /// ‖D‖
    public var normBefore: Double
    /// ‖D'‖
    public var normAfter: Double
    /// ‖D − D'‖
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

  /// What is added to the base's weights: D before, D' after, W the base, over all weights that a side changes.
  public struct Weights: Codable, Sendable {
    /// ‖D − D'‖ ÷ ‖D‖
    public var relativeError: Double
    /// ‖D − D'‖ ÷ ‖W‖
    public var baseRelativeError: Double
    /// The strength at which D stands in D'; neither what was cut off nor noise counts.
    public var scale: Double
    /// ⟨D, D'⟩ ÷ ‖D‖‖D'‖; `null` where one is zero.
    @Explicit public var cosine: Double?
    /// The relative error that rounding the adapted weights to `nullFormat` makes.
    public var null: Double
    /// The base's own codes, its 16 bits, or f16, for people; `nil` in reports that do not say it.
    public var nullFormat: String?
    /// Sums over the weights of each block, in the order of their first weights.
    public var blocks: [WeightRow]
    /// The changed weights, in the base's order.
    public var targets: [WeightRow]

    public init(
      relativeError: Double, baseRelativeError: Double, scale: Double, cosine: Double?, null: Double,
      nullFormat: String?, blocks: [WeightRow], targets: [WeightRow]
    ) {
      (self.relativeError, self.baseRelativeError, self.scale) = (relativeError, baseRelativeError, scale)
      (self.null, self.nullFormat, self.blocks, self.targets) = (null, nullFormat, blocks, targets)
      self.cosine = cosine
    }

    /// `rounding to bf16 alone`
    var nullName: String { "rounding to \(nullFormat ?? "16 bits") alone" }
  }

  /// What the denoiser predicts, before and after.
  public struct Probe: Codable, Sendable {
    /// What one prompt gives at one time.
    public struct Row: Codable, Sendable {
      /// What the denoiser is told to draw.
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

    /// Width and height in pixels of the picture that would come of it: `256x256`.
    public var size: String
    /// ‖ε − ε'‖ ÷ ‖ε‖ over all times, of the worst prompt.
    public var relativeError: Double
    /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖ over all times, of the worst prompt.
    public var effectError: Double
    /// The largest relative error over all times that a change which everybody accepts makes with any prompt.
    public var null: Double
    /// The prompts one after another, each with all times from much noise to little.
    public var rows: [Row]

    public init(size: String, relativeError: Double, effectError: Double, null: Double, rows: [Row]) {
      (self.size, self.relativeError, self.effectError) = (size, relativeError, effectError)
      (self.null, self.rows) = (null, rows)
    }
  }
}
