public import Kernels

/// A prompt to be rendered, with what belongs to it.
public struct AuditScene: Sendable, Equatable {
  public var prompt: String
  /// `nil` for none, which for SDXL is not the same as an empty text.
  public var negative: String?
  public var seed: UInt64
  /// Height and width in pixels.
  public var size: MapSize
  /// What all strengths are multiplied with, one pair of pictures for each.
  public var strengths: [Double]

  public init(prompt: String, negative: String? = nil, seed: UInt64, size: MapSize, strengths: [Double]) {
    (self.prompt, self.negative, self.seed, self.size) = (prompt, negative, seed, size)
    self.strengths = strengths
  }
}
