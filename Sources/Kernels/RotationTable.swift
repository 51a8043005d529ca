import Foundation

/// By which angles the heads of each token are turned: rotary positions (Su et al. 2021, arXiv:2104.09864).
///
/// All samples, heads and blocks share one table.
public struct RotationTable: @unchecked Sendable {
  // Sendable: its memory is never written after this value exists.
  /// Which two features are turned together; files made for the one are of no use with the other.
  public enum Style: Sendable {
    /// Neighbours: 2i and 2i + 1.
    case pairs
    /// Half a head apart: i and i + d/2.
    case halves
  }

  /// Which two features are turned together.
  public let style: Style
  /// How many tokens it is for.
  public let tokens: Int
  /// Angles of a token: half the features of a head.
  public let width: Int
  /// 1 × 1 × tokens × width each.
  let cosines: FeatureMap
  let sines: FeatureMap

  /// - Parameter angles: of all tokens, one after the other, in radians.
  public init(angles: [Float], tokens: Int, style: Style, pool: any MemoryPool) {
    precondition(tokens > 0 && angles.count % tokens == 0, "equally many angles for each token")
    (self.style, self.tokens, width) = (style, tokens, angles.count / tokens)
    func map(_ function: (Double) -> Double) -> FeatureMap {
      FeatureMap(
        angles.map { Float(function(Double($0))) }, batch: 1, height: 1, width: tokens, channels: angles.count / tokens,
        pool: pool)
    }
    (cosines, sines) = (map { cos($0) }, map { sin($0) })
  }

  func requireFit(_ x: FeatureMap, heads: Int, norm: TokenNorm?) {
    precondition(x.channels == heads * 2 * width, "\(heads) heads of \(2 * width) are not \(x.channels) channels")
    precondition(x.pixels == tokens, "positions of \(tokens) tokens for \(x.pixels)")
    precondition(norm.map { $0.channels == 2 * width && $0.gains.batch == 1 && !$0.isCentered } ?? true, "another norm")
  }
}
