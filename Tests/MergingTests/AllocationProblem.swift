import Safetensors
import Spectra
import Tensors
import TestSupport

@testable import Factoring
@testable import Merging

/// Random spectra of targets of random sizes, and the file they would be stored in.
struct AllocationProblem {
  var spectra: [Spectrum]
  var sides: [(rows: Int, columns: Int)]
  let metadata = [(key: "note", value: "random")]

  init(seed: UInt64, targets: ClosedRange<Int>, components: ClosedRange<Int>, sides range: ClosedRange<Int>) {
    var random = SplitMix64(seed: seed)
    func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + random.below(range.count) }
    let count = pick(targets)
    sides = (0..<count).map { _ in (pick(range), pick(range)) }
    spectra = (0..<count).map { _ in
      let size = 0.2 + random.uniform() * 2
      return Spectrum((0..<pick(components)).map { _ in size * random.uniform() }.sorted(by: >))
    }
  }

  var squares: [[Double]] { spectra.map { $0.singularValues.filter { $0 > 0 }.map { $0 * $0 } } }
  var total: Double { spectra.reduce(0) { $0 + $1.energy } }

  /// The most that one step can gain: one component, or the first ones of a target where so few are not worth their
  /// header entries.
  var largestStep: Double {
    let count = spectra.count, perRank = model.bytesPerRank(targetCount: count)
    let entries = model.entryBytes(targetCount: count, largestOffset: 10_000)
    return squares.indices.reduce(0) { largest, target in
      let sums = squares[target].indices.map { squares[target][...$0].reduce(0, +) }
      let first = sums.enumerated().max { a, b in
        let (x, y) = (
          entries[target] + perRank[target] * (a.offset + 1), entries[target] + perRank[target] * (b.offset + 1)
        )
        return a.element / Double(x) < b.element / Double(y)
      }
      return max(largest, first?.element ?? 0)
    }
  }

  func lost(_ ranks: [Int]) -> Double {
    zip(squares, ranks).reduce(0) { $0 + $1.0.dropFirst($1.1).reduce(0, +) }
  }

  /// Every choice of ranks there is.
  var allChoices: [[Int]] {
    squares.reduce([[]]) { choices, values in choices.flatMap { choice in (0...values.count).map { choice + [$0] } } }
  }

  private func items(_ target: Int, rank: Int) -> [SafetensorsLayout.Item] {
    [
      .init(name: "lora_unet_\(target).lora_up.weight", dtype: .f16, shape: Shape([sides[target].rows, rank])),
      .init(name: "lora_unet_\(target).lora_down.weight", dtype: .f16, shape: Shape([rank, sides[target].columns])),
      .init(name: "lora_unet_\(target).alpha", dtype: .f32, shape: []),
    ]
  }

  func layout(_ ranks: [Int]) -> SafetensorsLayout {
    SafetensorsLayout(
      ranks.indices.filter { ranks[$0] > 0 }.flatMap { items($0, rank: ranks[$0]) }, metadata: metadata)
  }

  var model: FileSizeModel {
    FileSizeModel(
      parts: spectra.indices.flatMap { target in
        items(target, rank: 1).map { .init(target: target, item: $0, growsWithRank: !$0.shape.extents.isEmpty) }
      }, metadata: metadata)
  }

  func allocator(weighing: Weighing = .absolute, keepsAll: Bool = false) -> RankAllocator {
    RankAllocator(spectra: spectra, weighing: weighing, keepsAll: keepsAll, model: model)
  }
}
