import Adapters
import Checkpoints
import Factoring
import Tensors
import TestSupport
import Testing

@testable import Audit

@Suite struct WeightComparisonTests {
  let sides: Sides, folder: TemporaryFolder

  init() throws { (sides, folder) = (try Sides(), try TemporaryFolder()) }

  /// Σ strength · scale · up · down of the targets of a weight, in double precision, by the plainest loops.
  private func delta(_ path: String, strength: Double, of name: String) throws -> [Double]? {
    let adapter = try Adapter(path: path)
    guard let target = adapter.targets.first(where: { $0.key.path == name }) else { return nil }
    let product = Dense.product(
      target.up.doubles(), target.down.doubles(), rows: target.rows, inner: target.rank, columns: target.columns)
    return product.map { $0 * target.scale * strength }
  }

  @Test("adapters against adapters: norms and errors of every weight are those of dense double precision")
  func adapters() throws {
    let small = try sides.resized("popart", .energy(0.9), in: folder)
    let weights = try WeightComparison(
      before: sides.side(.init(path: Sides.adapter("popart"))), after: sides.side(.init(path: small, strength: 0.8)),
      threads: 2)
    var (error, size) = (0.0, 0.0)
    #expect(weights.entries.count > 100)
    for entry in weights.entries {
      let name = String(entry.name.path.dropLast(".weight".count)).replacing(".", with: "_")
      let before = try #require(try delta(Sides.adapter("popart"), strength: 1, of: name))
      let after = try delta(small, strength: 0.8, of: name) ?? before.map { _ in 0 }
      let difference = Dense.norm(zip(before, after).map { $0 - $1 })
      #expect(abs(entry.energyBefore.squareRoot() - Dense.norm(before)) <= 1e-6 * Dense.norm(before), "\(entry.name)")
      #expect(abs(entry.energyAfter.squareRoot() - Dense.norm(after)) <= 1e-6 * Dense.norm(before), "\(entry.name)")
      #expect(abs(entry.difference.squareRoot() - difference) <= 1e-6 * Dense.norm(before), "\(entry.name)")
      error += difference * difference
      size += Dense.norm(before) * Dense.norm(before)
    }
    #expect(abs(weights.total.relativeError - (error / size).squareRoot()) <= 1e-6)
    // What was cut off does not count as a strength that changed.
    #expect(abs(weights.total.scale - 0.8) <= 1e-3)
  }

  @Test("a stack against the checkpoint it is baked into: what rounding leaves, in every network")
  func baked() throws {
    let stack = [AdapterInput(path: Sides.adapter("lumi")), .init(path: Sides.adapter("sketch"), strength: 0.3)]
    let path = try sides.baked(stack, dtype: .f16, in: folder)
    let weights = try WeightComparison(
      before: AuditSide(stack, base: sides.base), after: sides.side(.init(path: path)), threads: 2)
    // A bake rounds once to the base's 16 bits: the very rounding that the noise is measured with.
    #expect(weights.roundingFormat == "f16")
    #expect(weights.total.relativeError > 0)
    #expect(abs(weights.total.relativeError - weights.total.roundingError) <= 1e-3 * weights.total.roundingError)
    #expect(Set(weights.entries.map(\.name.component)) == [.denoiser, .textEncoder1])
    let checkpoint = try Checkpoint(path: path)
    for entry in weights.entries.prefix(20) {
      let stored = try checkpoint.weight(named: entry.name, shape: entry.shape).doubles()
      let base = try sides.base.weight(named: entry.name, shape: entry.shape).doubles()
      let norm = Dense.norm(zip(stored, base).map { $0 - $1 })
      #expect(abs(entry.energyAfter.squareRoot() - norm) <= 1e-6 * norm, "\(entry.name)")
    }
  }

  @Test("the same side is no different, bit for bit; no effect at all is lost or new")
  func same() throws {
    let side = try sides.side(.init(path: Sides.adapter("sketch")))
    let weights = try WeightComparison(before: side, after: side, threads: 2)
    #expect(weights.total.relativeError == 0 && weights.total.scale == 1)
    #expect(weights.lostShare == 0 && weights.addedShare == 0)
    // The base itself, where the stack was: everything is lost.
    let nothing = try WeightComparison(before: side, after: sides.side(.init(path: sides.base.path)), threads: 2)
    #expect(nothing.total.relativeError == 1 && nothing.lostShare == 1 && nothing.total.scale == 0)
  }

  @Test("NaN and infinity are counted, on the side that has them, and stay out of the sums")
  func notFinite() throws {
    let adapter = try Adapter(path: Sides.adapter("sketch")), target = adapter.targets[3],
      path = folder.file("nan.safetensors")
    try writeTensors(
      adapter.targets.flatMap { each -> [(name: String, tensor: Tensor)] in
        var up = each.up.doubles()
        if each.name == target.name { (up[0], up[each.rank]) = (.nan, .infinity) }
        return [
          (each.names.up, Tensor(up, shape: each.up.shape, dtype: each.up.dtype)), (each.names.down, each.down),
          (each.names.alpha!, Tensor([each.alpha!], shape: [], dtype: .f32)),
        ]
      }, to: path)
    let weights = try WeightComparison(
      before: sides.side(.init(path: Sides.adapter("sketch"))), after: sides.side(.init(path: path)), threads: 2)
    let broken = weights.entries.filter { $0.notFiniteAfter > 0 }
    #expect(broken.count == 1 && broken[0].notFiniteAfter == 2 * target.columns && broken[0].notFiniteBefore == 0)
    #expect(weights.total.relativeError.isFinite)
  }

  @Test("results do not depend on the number of threads")
  func threads() throws {
    let small = try sides.resized("sketch", .rank(2, conv: nil), in: folder)
    let (before, after) = (try sides.side(.init(path: Sides.adapter("sketch"))), try sides.side(.init(path: small)))
    let one = try WeightComparison(before: before, after: after, threads: 1)
    let three = try WeightComparison(before: before, after: after, threads: 3)
    #expect(one.entries.map(\.difference) == three.entries.map(\.difference))
  }
}
