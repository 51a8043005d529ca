public import Kernels

/// A prompt to be rendered, with what belongs to it.
public struct AuditScene: Sendable, Equatable {
  /// What the picture shows.
  public var prompt: String
  /// `nil` for none, which for SDXL is not the same as an empty text.
  public var negative: String?
  /// Of the noise that the picture begins with, the same on both sides.
  public var seed: UInt64
  /// Height and width in pixels.
  public var size: MapSize
  /// What all strengths are multiplied with, one pair of pictures for each.
  public var strengths: [Double]

  /// - Parameters:
  ///   - size: height and width in pixels.
  ///   - strengths: at least one for pictures to be made; 1 leaves adapters as they are.
  public init(prompt: String, negative: String? = nil, seed: UInt64, size: MapSize, strengths: [Double]) {
    (self.prompt, self.negative, self.seed, self.size) = (prompt, negative, seed, size)
    self.strengths = strengths
  }
}

extension AuditScene {
  /// Whether both show the same, at whatever strengths.
  func isSamePicture(as other: AuditScene) -> Bool {
    (prompt, negative, seed, size) == (other.prompt, other.negative, other.seed, other.size)
  }
}

/// In reports: the size as `512x768`, and no negative prompt as `null`.
extension AuditScene: Codable {
  private enum Key: String, CodingKey { case prompt, negative, seed, size, strengths }

  /// Writes the size as text, and `null` for no negative prompt.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(prompt, forKey: .prompt)
    if let negative {
      try container.encode(negative, forKey: .negative)
    } else {
      try container.encodeNil(forKey: .negative)
    }
    try container.encode(seed, forKey: .seed)
    try container.encode(size.text, forKey: .size)
    try container.encode(strengths, forKey: .strengths)
  }

  /// - Throws: `DecodingError`, for a size other than `512x768` and its like too.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let text = try container.decode(String.self, forKey: .size)
    guard let size = MapSize(text) else {
      throw DecodingError.dataCorruptedError(
        forKey: .size, in: container, debugDescription: "expected a size such as 512x768, found \(text)")
    }
    self.init(
      prompt: try container.decode(String.self, forKey: .prompt),
      negative: try container.decodeIfPresent(String.self, forKey: .negative),
      seed: try container.decode(UInt64.self, forKey: .seed), size: size,
      strengths: try container.decode([Double].self, forKey: .strengths))
  }
}
