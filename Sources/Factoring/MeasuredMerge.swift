/// What a merge method did where it was measured: a character with each of seven styles, at full strength, against drawings of the
/// character in those styles.
///
/// The loss is the error of the noise prediction on those drawings relative to the exact sum's, the mean over the styles (SD1 layout,
/// 14 million parameters, eight scenes, paired noise). What is kept is the share of each adapter's own effect that the merge has.
public struct MeasuredMerge: Sendable, Equatable {
  /// 1 is as good as the exact sum, more is worse.
  public let loss: Double
  /// Of the character's effect, and of the style's.
  public let kept: (character: Double, style: Double)

  /// What the exact sum kept.
  public static let exactSum = MeasuredMerge(loss: 1, character: 0.53, style: 0.95)

  /// - Parameters: as measured.
  public init(loss: Double, character: Double, style: Double) {
    (self.loss, kept) = (loss, (character, style))
  }

  /// By their numbers.
  public static func == (a: Self, b: Self) -> Bool { a.loss == b.loss && a.kept == b.kept }
}
