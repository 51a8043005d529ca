public import Adapters
import Factoring
import Platform

/// The average over a training's snapshots that an exponential moving average with a growing memory would have had: each step
/// counts with a power of its place, so that the last ones count most and the first ones nothing.
///
/// Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", 2024: the profile is told by its relative
/// width, whatever the number of steps. Averages are of products up · down, which an exact merge sums; averaging factors would
/// be something else.
public struct PowerAverage: Sendable {
  /// The standard deviation of the profile, as a share of all steps.
  public let width: Double
  /// The power of the profile.
  let exponent: Double

  /// Widths that profiles of this kind can have.
  public static let widths = 0.02...0.28

  /// - Precondition: `width` is one of `widths`.
  public init(width: Double) {
    precondition(Self.widths.contains(width), "a width of \(width)")
    self.width = width
    // The largest root of γ³ + 7γ² + (16 − σ⁻²)γ + (12 − σ⁻²), from above, where the cubic is convex and rising.
    let square = 1 / (width * width)
    var power = 1 / width
    for _ in 0..<100 {
      let value = ((power + 7) * power + 16 - square) * power + 12 - square
      let slope = (3 * power + 14) * power + 16 - square
      let next = power - value / slope
      guard next < power else { break }
      power = next
    }
    exponent = power
  }

  /// What snapshots count; they sum to 1.
  ///
  /// A snapshot stands for the steps that are nearer to it than to others.
  ///
  /// - Parameter steps: of each snapshot, ascending, from 1 on.
  public func weights(steps: [Int]) -> [Double] {
    precondition(
      !steps.isEmpty && steps[0] > 0 && zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 }, "ascending steps")
    let last = Double(steps.last!)
    var edges = [0.0] + zip(steps, steps.dropFirst()).map { (Double($0) + Double($1)) / 2 } + [last]
    edges = edges.map { pow($0 / last, exponent + 1) }
    return zip(edges.dropFirst(), edges).map { $0 - $1 }
  }

  /// How many of the steps lie where the profile is: with few of them the average is one of chance.
  public func snapshotsThatCount(steps: [Int]) -> Int {
    let last = Double(steps.last ?? 0)
    return steps.count { Double($0) > last * (1 - 4 * width) }
  }
}

extension PowerAverage {
  /// The step at which a snapshot was taken, as its trainer wrote it: in the metadata, or in the file's name
  /// (`name-step00000500`, `name-000004`, `checkpoint-500`).
  ///
  /// - Returns: `nil` where nothing tells it. Numbers in names may be epochs, which do as well where all are.
  static func step(of adapter: Adapter, fromName: Bool) -> Int? {
    if !fromName { return adapter.metadata.first { $0.key == "ss_steps" }.flatMap { Int($0.value) } }
    let stem = adapter.path.fileStem
    let digits = stem.reversed().prefix { $0.isNumber }.reversed()
    return digits.isEmpty ? nil : Int(String(digits))
  }

  /// The steps of all snapshots by the same sign: the metadata's where all say them and no two say the same, else the names'.
  public static func steps(of adapters: [Adapter]) -> [Int]? {
    for fromName in [false, true] {
      let steps = adapters.compactMap { step(of: $0, fromName: fromName) }
      if steps.count == adapters.count, Set(steps).count == steps.count, steps.allSatisfy({ $0 > 0 }) { return steps }
    }
    return nil
  }
}
