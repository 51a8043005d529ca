import Foundation
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Checkpoints
@testable import Codecs

/// Proves on the files that other libraries quantised that codes are found and put back where they stand, that steps are what
/// lies between them, and that rounding chooses what it says.
@Suite struct CodeGridTests {
  static let files = [
    "comfy_fp8_markers.safetensors", "comfy_int8.safetensors", "comfy_nvfp4.safetensors", "comfy_mxfp8.safetensors",
    "comfy_4bit.safetensors", "musubi_fp8_block.safetensors", "deepseek_fp8_block.safetensors", "bnb.safetensors",
    "gguf_read.gguf", "gguf_write.gguf",
  ]

  /// A weight of a golden file, on its grid.
  private struct Case {
    let name: String
    let weight: Checkpoint.Weight
    let base: Checkpoint
    let grid: CodeGrid
    let rows: Int, columns: Int

    var count: Int { rows * columns }
    var stored: [UInt8] { base.storedBytes(weight).withUnsafeBytes(Array.init) }
    var numbers: [Float] { base.decodedTensor(weight).floats() }

    func read(_ range: Range<Int>? = nil) -> (places: [UInt8], steps: [Float]) {
      let range = range ?? 0..<rows, size = range.count * columns
      var places = [UInt8](repeating: 0, count: size), steps = [Float](repeating: 0, count: size)
      grid.read(rows: range, places: &places, steps: &steps)
      return (places, steps)
    }

    func written(_ places: [UInt8], _ range: Range<Int>? = nil, over bytes: [UInt8]? = nil) -> [UInt8] {
      var bytes = bytes ?? stored, places = places
      bytes.withUnsafeMutableBytes { grid.write(rows: range ?? 0..<rows, places: &places, into: $0) }
      return bytes
    }

    func value(_ place: UInt8) -> Float {
      withUnsafeBytes(of: grid.order.table.values) { $0.load(fromByteOffset: 4 * Int(place), as: Float.self) }
    }
    var usable: ClosedRange<UInt8> { UInt8(grid.order.table.first)...UInt8(grid.order.table.last) }
  }

  private func cases(_ file: String) throws -> [Case] {
    let base = try Checkpoint(path: Goldens.path("quantised/\(file)"))
    let cases = base.weights.compactMap { weight -> Case? in
      guard let grid = weight.quantisation?.codec.grid else { return nil }
      let (rows, columns) = weight.entry.shape.flattened
      return Case(name: weight.entry.name, weight: weight, base: base, grid: grid, rows: rows, columns: columns)
    }
    #expect(!cases.isEmpty)
    return cases
  }

  /// The numbers of a weight whose stored bytes are these, read by a file that has them.
  private func numbers(_ item: Case, _ bytes: [UInt8]) throws -> [Float] {
    let folder = try TemporaryFolder(), file = item.base.files[0].contents
    var whole = try Array(Data(contentsOf: URL(filePath: file.path)))
    let start = whole.count - file.data.count + item.weight.stored.range.lowerBound
    whole.replaceSubrange(start..<start + bytes.count, with: bytes)
    let path = try folder.write(whole, to: "changed" + (file.gguf == nil ? ".safetensors" : ".gguf"))
    let other = try Checkpoint(path: path)
    return other.decodedTensor(try #require(other.weights.first { $0.entry.name == item.name })).floats()
  }

  @Test("codes that are read and written again are the same bytes, in tiles of any rows", arguments: files)
  func identity(file: String) throws {
    var random = SplitMix64(seed: 5)
    for item in try cases(file) {
      let all = item.read()
      #expect(item.written(all.places) == item.stored, "\(item.name)")
      for _ in 0..<8 {
        let first = random.below(item.rows), range = first..<first + 1 + random.below(item.rows - first)
        let part = item.read(range), slice = range.lowerBound * item.columns..<range.upperBound * item.columns
        #expect(
          part.places == Array(all.places[slice]) && part.steps == Array(all.steps[slice]), "\(item.name) \(range)")
        // Other rows' codes stay, whatever they are.
        let other = item.stored.map { $0 ^ 0x11 }
        let mixed = item.written(part.places, range, over: other)
        let outside = item.written(part.places.map { _ in 0 }, range, over: other)
        #expect(item.written(part.places, range, over: outside) == mixed, "\(item.name) \(range)")
      }
    }
  }

  @Test("a code further is a step further", arguments: files)
  func steps(file: String) throws {
    var random = SplitMix64(seed: 6)
    for item in try cases(file) {
      let (places, steps) = item.read(), before = item.numbers
      let other = places.map { _ in UInt8(random.below(item.grid.order.count)) }
      let after = try numbers(item, item.written(other))
      var change = zip(after, before).map { $0 - $1 }
      if item.grid.rotation != nil { change.withUnsafeMutableBufferPointer { item.grid.rotate($0) } }
      let largest = zip(before, after).map { max($0.magnitude, $1.magnitude) }.filter(\.isFinite).max()!
      var compared = 0
      for i in places.indices where steps[i].isFinite && change[i].isFinite {
        let expected = (item.value(other[i]) - item.value(places[i])) * steps[i]
        guard expected.isFinite else { continue }
        let tolerance =
          2e-6 * max(largest * (item.grid.rotation == nil ? 0 : 4), before[i].magnitude + after[i].magnitude)
        guard (change[i] - expected).magnitude <= max(tolerance, 4e-6 * expected.magnitude) else {
          Issue.record("\(item.name) \(i): \(change[i]) for \(expected)")
          return
        }
        compared += 1
      }
      #expect(compared > places.count / 2, "\(item.name): \(compared)")
    }
  }

  @Test("the nearest code is chosen, and nothing moves without a delta", arguments: files)
  func nearest(file: String) throws {
    var random = SplitMix64(seed: 7)
    for item in try cases(file) {
      let (places, steps) = item.read(), base = item.numbers.map { $0.isFinite ? $0 : 0 }
      let usable = steps.indices.filter { steps[$0].isFinite && places[$0] < item.grid.order.count }
      let typical = usable.map { steps[$0].magnitude }.filter { $0 > 0 }.sorted()
      let size = typical.isEmpty ? 1 : typical[typical.count / 2]
      let finite = steps.map { $0.isFinite ? $0 : 0 }, plain = places.map { min($0, UInt8(item.grid.order.count - 1)) }
      var survival = Survival(), moved = plain
      let nothing = [Float](repeating: 0, count: places.count)
      item.grid.roundNearest(
        &moved, steps: finite, base: base, delta: nothing, count: places.count, counting: &survival)
      #expect(moved == plain && survival.movedCount == 0 && survival.notFiniteCount == 0, "\(item.name)")
      let delta = nothing.map { _ in Float(random.gaussian()) * size * 2 }
      item.grid.roundNearest(&moved, steps: finite, base: base, delta: delta, count: places.count, counting: &survival)
      var energy = 0.0, projection = 0.0, residual = 0.0, changed = 0
      for i in places.indices {
        let old = item.value(plain[i]), new = item.value(moved[i]), step = Double(finite[i])
        let choices = min(item.usable.lowerBound, plain[i])...max(item.usable.upperBound, plain[i])
        let off = choices.map { ((Double(item.value($0)) - Double(old)) * step - Double(delta[i])).magnitude }.min()!
        let own = ((Double(new) - Double(old)) * step - Double(delta[i])).magnitude
        #expect(
          own <= off * (1 + 1e-5) + 1e-6 * Double(delta[i]).magnitude || finite[i] == 0,
          "\(item.name) \(i): \(own), \(off)")
        energy += Double(delta[i]) * Double(delta[i])
        projection += Double(new - old) * step * Double(delta[i])
        residual += finite[i] == 0 ? Double(delta[i]) * Double(delta[i]) : own * own
        changed += new != old ? 1 : 0
      }
      #expect((survival.deltaEnergy / energy - 1).magnitude < 1e-5, "\(item.name)")
      #expect((survival.projection - projection).magnitude < 1e-5 * energy, "\(item.name)")
      #expect((survival.residualEnergy - residual).magnitude < 1e-5 * max(energy, residual), "\(item.name)")
      #expect(survival.movedCount == changed, "\(item.name)")
    }
  }

  @Test(
    "random rounding is right on average, and takes neighbours only",
    arguments: ["gguf_read.gguf", "comfy_int8.safetensors"])
  func stochastic(file: String) throws {
    for item in try cases(file) {
      let (places, steps) = item.read(), base = item.numbers
      guard steps.allSatisfy({ $0.isFinite && $0 != 0 }), places.allSatisfy({ item.usable.contains($0) }) else {
        continue
      }
      let middle = places.map { min(max($0, item.usable.lowerBound + 1), item.usable.upperBound - 1) }
      let delta = zip(middle, steps).map { place, step in
        0.3 * (item.value(place + 1) - item.value(place)) * step
      }
      var survival = Survival(), moved = middle
      item.grid.roundStochastically(
        &moved, steps: steps, base: base, delta: delta, count: places.count, seed: 9, first: 0, counting: &survival)
      #expect(zip(moved, middle).allSatisfy { $0 == $1 || $0 == $1 + 1 }, "\(item.name)")
      let share = Double(zip(moved, middle).count { $0 != $1 }) / Double(places.count)
      #expect((share - 0.3).magnitude < 4 * (0.21 / Double(places.count)).squareRoot() + 1e-3, "\(item.name): \(share)")
    }
  }

  @Test("what is not finite is counted, and changes nothing")
  func notFinite() throws {
    let item = try cases("comfy_fp8_markers.safetensors")[0]
    var (places, steps) = item.read(), base = item.numbers, delta = base.map { _ in Float(0.01) }
    places[0] = UInt8(item.grid.order.count)
    base[1] = .nan
    delta[2] = .infinity
    delta[3] = .nan
    let before = places
    var survival = Survival()
    item.grid.roundNearest(&places, steps: steps, base: base, delta: delta, count: 8, counting: &survival)
    #expect(survival.notFiniteCount == 4 && places.prefix(4) == before.prefix(4))
    steps[4] = 0
    survival = Survival()
    places = before
    item.grid.roundNearest(
      &places[4], steps: &steps[4], base: &base[4], delta: &delta[4], count: 1, counting: &survival)
    #expect(survival.clampedCount == 1 && survival.notFiniteCount == 0 && places[4] == before[4])
    #expect(survival.residual == 1)
  }

  @Test("codes of the same number have an order: the sign of zero is kept")
  func zeros() {
    let order = CodeOrder(CodeTable.e2m1)
    #expect(order.codes.prefix(16).map(\.self) == [15, 14, 13, 12, 11, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7])
    #expect(order.count == 16 && order.table.is_integers == 0)
    let floats = CodeOrder(CodeTable.e4m3)
    #expect(floats.count == 254 && Set(floats.codes.suffix(2)) == [0x7f, 0xff])
    let whole = CodeOrder((0..<256).map { Float(Int8(truncatingIfNeeded: $0)) }, unused: [0x80])
    #expect(whole.table.is_integers == 1 && whole.table.first == 1 && whole.table.last == 255)
  }
}
