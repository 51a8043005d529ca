package import Adapters

/// An adapter file and how strongly it is used.
public struct AdapterInput: Sendable, Equatable {
  public var path: String
  public var strength: Double
  /// For targets in text encoders.
  public var textEncoderStrength: Double
  /// Multiplies both.
  public var blocks: BlockWeights?

  public init(path: String, strength: Double = 1, textEncoderStrength: Double? = nil, blocks: BlockWeights? = nil) {
    self.path = path
    self.strength = strength
    self.textEncoderStrength = textEncoderStrength ?? strength
    self.blocks = blocks
  }

  /// The strength for a target.
  package func strength(for key: TargetKey) -> Double {
    (key.component.isTextEncoder ? textEncoderStrength : strength) * (blocks?.weight(for: key) ?? 1)
  }
}
