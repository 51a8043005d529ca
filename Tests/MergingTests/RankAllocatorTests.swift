import Checkpoints
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves the division of a budget against every possible choice of ranks on tiny problems, headers included: the
/// certificate holds, the choice is at most one step from it, limits are kept to the byte, and nothing more fits. A
/// step is one component; only where factors are smaller than their header entries does a target begin with several.
@Suite struct RankAllocatorTests {
  @Test("A budget is used as well as any choice of ranks can, but for one step", arguments: 0..<40 as Range<UInt64>)
  func bruteForce(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 2...4, components: 1...4, sides: 4...120)
    let allocator = problem.allocator(), choices = problem.allChoices
    let sizes = choices.map { problem.model.fileSize(ranks: $0) }, lost = choices.map(problem.lost)
    let step = max(1, (allocator.largestSize - allocator.smallestSize) / 37)
    for budget in stride(from: allocator.smallestSize, through: allocator.largestSize + step, by: step) {
      guard let found = allocator.allocation(fitting: budget), let bound = found.lowerBound else {
        Issue.record("nothing fits \(budget), seed \(seed)")
        continue
      }
      let best = zip(sizes, lost).filter { $0.0 <= budget }.map(\.1).min()!
      let foundLost = problem.lost(found.ranks), boundLost = bound * bound * problem.total
      #expect(found.bytes <= budget, "seed \(seed)")
      #expect(found.bytes == problem.layout(found.ranks).fileCount, "seed \(seed)")
      #expect(abs(found.relativeError - (foundLost / problem.total).squareRoot()) <= 1e-12, "seed \(seed)")
      #expect(boundLost <= best + 1e-12 * problem.total, "seed \(seed), budget \(budget): the certificate is wrong")
      #expect(foundLost >= best - 1e-12 * problem.total, "seed \(seed)")
      // The certificate reckons with the fewest digits in the header, the choice with the most.
      #expect(foundLost - boundLost <= 1.05 * problem.largestStep, "seed \(seed), budget \(budget): \(found.ranks)")
      for target in problem.squares.indices where found.ranks[target] < problem.squares[target].count {
        var more = found.ranks
        more[target] += 1
        #expect(
          problem.model.fileSize(ranks: more) > budget, "seed \(seed), budget \(budget): target \(target) still fits")
      }
    }
  }

  @Test(
    "With factors of usual sizes the choice is within one component of the certificate",
    arguments: 0..<20 as Range<UInt64>)
  func oneComponent(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 20...40, components: 4...8, sides: 320...1280)
    let allocator = problem.allocator(), largest = problem.squares.flatMap { $0 }.max()!
    for share in stride(from: 0.02, through: 0.98, by: 0.04) {
      let room = Double(allocator.largestSize - allocator.smallestSize)
      let found = allocator.allocation(fitting: allocator.smallestSize + Int(share * room))!, bound = found.lowerBound!
      #expect(found.relativeError >= bound, "seed \(seed), share \(share)")
      #expect(problem.lost(found.ranks) - bound * bound * problem.total <= largest, "seed \(seed), share \(share)")
      #expect(found.relativeError <= 1.02 * bound + 0.01, "seed \(seed), share \(share)")
    }
  }

  @Test("Targets that must stay keep one component, also when their delta is zero", arguments: 0..<20 as Range<UInt64>)
  func keepingAll(seed: UInt64) {
    var problem = AllocationProblem(seed: seed, targets: 2...4, components: 1...3, sides: 4...120)
    problem.spectra.append(Spectrum([0, 0]))
    problem.sides.append((5, 7))
    let allocator = problem.allocator(keepsAll: true)
    #expect(allocator.smallestSize == problem.model.fileSize(ranks: problem.spectra.map { _ in 1 }), "seed \(seed)")
    #expect(allocator.allocation(fitting: allocator.smallestSize - 1) == nil, "seed \(seed)")
    let choices = problem.allChoices.map { $0.map { max($0, 1) } }
    for budget in stride(from: allocator.smallestSize, through: allocator.largestSize, by: 301) {
      let found = allocator.allocation(fitting: budget)!
      #expect(found.ranks.allSatisfy { $0 >= 1 } && found.bytes <= budget, "seed \(seed)")
      let best = choices.filter { problem.model.fileSize(ranks: $0) <= budget }.map(problem.lost).min()!
      let bound = found.lowerBound! * found.lowerBound! * problem.total
      #expect(bound <= best + 1e-12 * problem.total, "seed \(seed)")
      #expect(problem.lost(found.ranks) - bound <= problem.largestStep, "seed \(seed)")
    }
  }

  @Test("The smallest and the full file need no luck", arguments: 0..<10 as Range<UInt64>)
  func extremes(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 3...5, components: 1...6, sides: 4...300)
    let allocator = problem.allocator()
    #expect(allocator.allocation(fitting: allocator.smallestSize - 1) == nil)
    #expect(allocator.allocation(fitting: allocator.smallestSize)?.ranks.allSatisfy { $0 == 0 } == true)
    let full = allocator.allocation(fitting: allocator.largestSize)
    #expect(full?.ranks == problem.squares.map(\.count), "seed \(seed)")
    #expect(full?.relativeError == 0)
    #expect(full?.lowerBound == 0)
  }

  @Test("An error limit is met, and no target's last component can be spared", arguments: 0..<60 as Range<UInt64>)
  func errorLimit(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 2...6, components: 1...6, sides: 4...120)
    let allocator = problem.allocator()
    for limit in [0, 1e-3, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 0.99, 1] {
      let found = allocator.allocation(relativeError: limit)
      #expect(found.relativeError <= limit, "seed \(seed), limit \(limit)")
      #expect(found.bytes == problem.layout(found.ranks).fileCount)
      for target in found.ranks.indices where found.ranks[target] > 0 {
        var fewer = found.ranks
        fewer[target] -= 1
        let error = (problem.lost(fewer) / problem.total).squareRoot()
        #expect(error > limit, "seed \(seed), limit \(limit): \(found.ranks) could lose one of target \(target)")
      }
    }
  }

  @Test("An error limit costs hardly more bytes than the best choice", arguments: 0..<20 as Range<UInt64>)
  func errorLimitBytes(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 2...4, components: 1...4, sides: 4...120)
    let allocator = problem.allocator(), choices = problem.allChoices
    let largest = problem.model.bytesPerRank(targetCount: problem.spectra.count).max()!
    let entries = problem.model.entryBytes(targetCount: problem.spectra.count, largestOffset: 1_000_000).max()!
    for limit in [0.05, 0.1, 0.2, 0.4, 0.7] {
      let found = allocator.allocation(relativeError: limit)
      let best = choices.filter { problem.lost($0) <= limit * limit * problem.total }
        .map { problem.model.fileSize(ranks: $0) }.min()!
      #expect(found.bytes >= best)
      #expect(found.bytes <= best + largest + entries, "seed \(seed), limit \(limit)")
    }
  }

  @Test("The curve falls from the smallest file to the full one", arguments: [1, 5, 40, 1000])
  func curve(points: Int) {
    let problem = AllocationProblem(seed: 4, targets: 12...12, components: 8...8, sides: 20...200)
    let allocator = problem.allocator(), curve = allocator.curve(points: points)
    #expect(curve.first?.bytes == allocator.smallestSize)
    #expect(curve.last?.bytes == allocator.largestSize)
    #expect(curve.first?.relativeError == 1)
    #expect(curve.last?.relativeError == 0)
    #expect(curve.count <= points + 2)
    for (a, b) in zip(curve, curve.dropFirst()) {
      #expect(a.bytes < b.bytes)
      #expect(a.relativeError > b.relativeError)
      #expect(b.bytes == problem.layout(b.ranks).fileCount)
    }
  }

  @Test("Weighing per target makes weak targets count as much as strong ones")
  func perTarget() {
    var problem = AllocationProblem(seed: 6, targets: 8...8, components: 6...6, sides: 40...40)
    // Half of the targets are a hundred times weaker.
    problem.spectra = problem.spectra.enumerated().map { index, spectrum in
      Spectrum(spectrum.singularValues.map { index < 4 ? $0 : $0 / 100 })
    }
    let absolute = problem.allocator(), perTarget = problem.allocator(weighing: .perTarget)
    let budget = (absolute.smallestSize + absolute.largestSize) / 2
    let strong = absolute.allocation(fitting: budget)!, even = perTarget.allocation(fitting: budget)!
    #expect(strong.ranks[4...].reduce(0, +) < even.ranks[4...].reduce(0, +))
    #expect(strong.relativeError < even.relativeError)
    // The certificate is about the plain relative error, so both have the same.
    #expect(strong.lowerBound == even.lowerBound)
    func meanShare(_ allocation: RankAllocation) -> Double {
      zip(problem.spectra, allocation.ranks).reduce(0) { sum, target in
        let tail = target.0.tailNorm(afterRank: target.1)
        return sum + tail * tail / target.0.energy
      }
    }
    #expect(meanShare(even) < meanShare(strong))
  }
}
