import Adapters
public import Factoring
import Merging
public import Spectra

/// What adapters are made of, from their factors alone: spectra, how small they could be, how they disturb each other.
public struct AuditStructure: Sendable {
  /// The singular values of a block's targets together, largest first.
  public struct Block: Sendable {
    /// The part of the network: `down_blocks.1`.
    public let name: String
    /// Without zeros; empty where the side is not adapters alone, or has nothing in the block.
    public let before: [Double]
    /// Without zeros; empty where the side is not adapters alone, or has nothing in the block.
    public let after: [Double]
  }

  /// Those that either side has targets in, in the order of the targets.
  public let blocks: [Block]
  /// The best that resizes of what was before can do.
  public let curve: [RankAllocation]
  /// Of the adapters before, where there are several.
  public let crossTalk: CrossTalk?
  /// A part that could not be computed.
  public struct Gap: Sendable {
    /// `spectra of style 0.8`
    public let part: String
    /// What kept it from being computed, as it was thrown.
    public let reason: any Error
  }

  /// None where all that the sides allow was computed.
  public let gaps: [Gap]

  /// - Throws: `CancellationError`; what else keeps something from being computed is a gap.
  init(_ before: AuditSide, _ after: AuditSide, threads: Int) throws {
    var gaps: [Gap] = []
    func decomposed(_ side: AuditSide) throws -> DecomposedPlan? {
      guard side.hasStrength else { return nil }
      do {
        let recipe = RefactorRecipe(
          side.inputs.count == 1 ? .resize : .merge, inputs: side.inputs, rule: .exact, allowsUnknown: true,
          base: side.base.path)
        return try DecomposedPlan(RefactorPlan(recipe), threads: threads)
      } catch let error as CancellationError {
        throw error
      } catch {
        gaps.append(Gap(part: "spectra of \(side.label)", reason: error))
        return nil
      }
    }
    let first = try decomposed(before), second = try decomposed(after)
    blocks = Self.blocks(first, second)
    curve = first?.curve(points: 24) ?? []
    func measuredCrossTalk() throws -> CrossTalk? {
      guard before.inputs.count > 1, before.hasStrength else { return nil }
      do {
        return try CrossTalk(
          before.fits.map(\.adapter), strengths: before.inputs.map(\.strength), threads: threads)
      } catch let error as CancellationError {
        throw error
      } catch {
        gaps.append(Gap(part: "cross-talk of \(before.label)", reason: error))
        return nil
      }
    }
    crossTalk = try measuredCrossTalk()
    self.gaps = gaps
  }

  private static func blocks(_ before: DecomposedPlan?, _ after: DecomposedPlan?) -> [Block] {
    func values(_ plan: DecomposedPlan?) -> [String: [Double]] {
      guard let plan else { return [:] }
      var values: [String: [Double]] = [:]
      for (target, spectrum) in zip(plan.plan.targets, plan.spectra) {
        values[target.key.block, default: []] += spectrum.singularValues.filter { $0 > 0 }
      }
      return values.mapValues { $0.sorted(by: >) }
    }
    var order: [String] = []
    for target in (before?.plan.targets ?? []) + (after?.plan.targets ?? []) where !order.contains(target.key.block) {
      order.append(target.key.block)
    }
    let (first, second) = (values(before), values(after))
    return order.map { Block(name: $0, before: first[$0] ?? [], after: second[$0] ?? []) }
  }
}
