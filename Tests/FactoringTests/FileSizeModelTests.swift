import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Factoring

/// Proves that the size of a file is known to the byte before it exists: against the layout's own count for random
/// targets and ranks, at every change of a number's digits, and against files really written.
@Suite struct FileSizeModelTests {
  /// A file of targets with factors and alphas, and some tensors of fixed size.
  private struct Problem {
    var targets: [(name: String, rows: Int, columns: Int, dtype: DType, hasAlpha: Bool)] = []
    var fixed: [SafetensorsLayout.Item] = []
    var metadata: [(key: String, value: String)] = []

    init(seed: UInt64) {
      var random = SplitMix64(seed: seed)
      let dtypes = [DType.f32, .f16, .bf16, .f8e4m3]
      targets = (0..<1 + random.below(7)).map { index in
        // A quotation mark takes two characters in the header, ä two bytes.
        let name = ["lora_unet_", "a\"", "ä_", ""][random.below(4)] + "\(index)"
        return (name, 1 + random.below(400), 1 + random.below(400), dtypes[random.below(4)], random.below(2) == 0)
      }
      fixed = (0..<random.below(3)).map {
        .init(name: "fixed\($0)", dtype: dtypes[random.below(4)], shape: Shape([random.below(50)]))
      }
      metadata = (0..<random.below(4)).map { ("key\($0)", String(repeating: "x\n", count: random.below(30))) }
    }

    func items(_ target: Int, rank: Int) -> [SafetensorsLayout.Item] {
      let (name, rows, columns, dtype, hasAlpha) = targets[target]
      return [
        .init(name: name + ".up", dtype: dtype, shape: Shape([rows, rank, 1, 1])),
        .init(name: name + ".down", dtype: dtype, shape: Shape([rank, columns])),
      ] + (hasAlpha ? [.init(name: name + ".alpha", dtype: .f32, shape: [])] : [])
    }

    var model: FileSizeModel {
      FileSizeModel(
        parts: targets.indices.flatMap { target in
          items(target, rank: 1).map { .init(target: target, item: $0, growsWithRank: !$0.name.hasSuffix(".alpha")) }
        } + fixed.map { .init(target: nil, item: $0, growsWithRank: false) }, metadata: metadata)
    }

    func layout(_ ranks: [Int]) -> SafetensorsLayout {
      let kept = targets.indices.filter { ranks[$0] > 0 }.flatMap { items($0, rank: ranks[$0]) }
      return SafetensorsLayout(kept + fixed, metadata: metadata)
    }
  }

  @Test("The size is the layout's", arguments: 0..<60 as Range<UInt64>)
  func layout(seed: UInt64) {
    let problem = Problem(seed: seed), model = problem.model
    var random = SplitMix64(seed: seed &+ 1000)
    for _ in 0..<50 {
      let ranks = problem.targets.map { _ in [0, 0, 1, 2, 9, 10, 11, 99, 100, 128, 999, 1000][random.below(12)] }
      #expect(model.fileSize(ranks: ranks) == problem.layout(ranks).fileCount, "seed \(seed), ranks \(ranks)")
    }
  }

  @Test("No change of digits on the way is missed", arguments: 0..<4 as Range<UInt64>)
  func digits(seed: UInt64) {
    let problem = Problem(seed: seed), model = problem.model
    for rank in 0...1010 {
      let ranks = problem.targets.indices.map { $0 == 0 ? rank : rank / 10 }
      #expect(model.fileSize(ranks: ranks) == problem.layout(ranks).fileCount, "seed \(seed), ranks \(ranks)")
    }
  }

  @Test("The size is that of the file on the disk", arguments: 0..<12 as Range<UInt64>)
  func written(seed: UInt64) throws {
    let folder = try TemporaryFolder(), problem = Problem(seed: seed)
    var random = SplitMix64(seed: seed &+ 2000)
    let ranks = problem.targets.map { _ in random.below(14) }
    let layout = problem.layout(ranks)
    let writer = try SafetensorsWriter(layout: layout, destination: folder.file("a.safetensors"), overwriting: false)
    for (item, _) in layout.places {
      try [UInt8](repeating: 1, count: item.byteCount).withUnsafeBytes { try writer.write($0, of: item.name) }
    }
    try writer.seal()
    try writer.commit()
    let count = try folder.bytes(of: "a.safetensors").count
    #expect(problem.model.fileSize(ranks: ranks) == count, "seed \(seed)")
    #expect(try SafetensorsFile(path: folder.file("a.safetensors")).byteCount == count)
  }

  @Test("What a target adds lies between the limits that allocation reckons with", arguments: 0..<60 as Range<UInt64>)
  func limits(seed: UInt64) {
    let problem = Problem(seed: seed), model = problem.model, count = problem.targets.count
    let perRank = model.bytesPerRank(targetCount: count)
    for (target, bytes) in zip(problem.targets, perRank) {
      #expect(bytes == (target.rows + target.columns) * target.dtype.bits / 8)
    }
    var random = SplitMix64(seed: seed &+ 3000)
    let none = model.fileSize(ranks: problem.targets.map { _ in 0 })
    for _ in 0..<30 {
      let ranks = problem.targets.map { _ in random.below(130) }, size = model.fileSize(ranks: ranks)
      func total(_ entries: [Int]) -> Int {
        zip(zip(entries, perRank), ranks).reduce(0) { $0 + ($1.1 > 0 ? $1.0.0 + $1.0.1 * $1.1 : 0) }
      }
      // Either header may be padded by up to seven bytes, and the fixed tensors' offsets grow.
      #expect(size - none >= total(model.entryBytes(targetCount: count, largestOffset: nil)) - 8, "seed \(seed)")
      let upper = total(model.entryBytes(targetCount: count, largestOffset: size)) + 8
      let fixedDigits = problem.fixed.count * 2 * String(size).count
      #expect(size - none <= upper + fixedDigits, "seed \(seed)")
    }
  }
}
