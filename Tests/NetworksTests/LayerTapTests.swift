import Checkpoints
import Kernels
import Models
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Proves that a tap sees the very numbers that a layer multiplies, and that a change of a weight through it is that change:
/// products with the weight are done here with plain loops.
@Suite struct LayerTapTests {
  /// Weights made up from their names.
  private struct MadeUp: WeightSource {
    func weight(named name: WeightName, shape: Shape) throws -> Tensor {
      var generator = SplitMix64(seed: UInt64(name.path.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
      return Tensor(generator.gaussians(shape.elementCount), shape: shape, dtype: .f32)
    }
  }

  private final class Record: LayerTap {
    var rows: [Double] = []
    var names: [WeightName] = []
    var change: (name: WeightName, tensor: Tensor)?

    func willCompute(_ weights: [WeightName], on inputs: LayerInputs) {
      names = weights
      rows = []
      inputs.forEachPart { rows += $0 }
      #expect(rows.count == inputs.count * inputs.columns)
    }

    func change(of weight: WeightName) -> Tensor? { change?.name == weight ? change?.tensor : nil }
  }

  private let pool: any MemoryPool
  private let backend: any Backend

  init() {
    let reference = ReferenceBackend()
    (backend, pool) = (reference, reference.pool)
  }

  private func map(_ size: MapSize, channels: Int, seed: UInt64) -> FeatureMap {
    var generator = SplitMix64(seed: seed)
    return FeatureMap(
      generator.gaussians(2 * size.area * channels).map(Float.init), batch: 2, height: size.height, width: size.width,
      channels: channels, pool: pool)
  }

  /// rows · weightᵀ + bias
  private func product(_ rows: [Double], _ weight: Tensor, _ bias: Tensor?) -> [Double] {
    let outputs = weight.shape[0], columns = weight.elementCount / outputs
    let transposed = Dense.transposed(weight.doubles(), rows: outputs, columns: columns)
    let sums = Dense.product(rows, transposed, rows: rows.count / columns, inner: columns, columns: outputs)
    return sums.enumerated().map { $1 + (bias?.doubles()[$0 % outputs] ?? 0) }
  }

  @Test("What a product is given, alone and joined")
  func linear() throws {
    let tap = Record(), layers = LayerSource(MadeUp(), .denoiser, backend: backend, tap: tap)
    let x = map(MapSize(height: 3, width: 5), channels: 4, seed: 1)
    let single = try layers.linear("a", 4, 6), joined = try layers.linear(joining: ["b", "c"], 4, 3, bias: false)
    let y = single(x, as: .f32).values.map(Double.init)
    let weight = try layers["a"].tensor("weight", 6, 4)
    #expect(tap.names == [WeightName(.denoiser, "a.weight")])
    #expect(relativeDifference(y, product(tap.rows, weight, try layers["a"].tensor("bias", 6))) <= 1e-5)
    _ = joined(x, as: .f32)
    #expect(tap.names.map(\.path) == ["b.weight", "c.weight"])
    #expect(relativeDifference(tap.rows, x.values.map(Double.init)) == 0)
  }

  enum Way: CaseIterable { case same, halving, enlarging, afterNorm }

  @Test("What a convolution is given", arguments: Way.allCases)
  func convolution(way: Way) throws {
    let tap = Record(), layers = LayerSource(MadeUp(), .denoiser, backend: backend, tap: tap)
    let size = MapSize(height: 6, width: 5), x = map(size, channels: 4, seed: 2)
    let enlarged: MapSize? = way == .enlarging ? size.doubled : nil
    let layer = try layers.convolution(
      "a", 4, 3, geometry: way == .halving ? .halving : .same, expecting: enlarged ?? size,
      enlarging: way == .enlarging)
    let norm = way == .afterNorm ? try layers.groupNorm("n", 4, groups: 2, epsilon: 1e-5).factors(x) : nil
    let weight = try layers["a"].tensor("weight", 3, 4, 3, 3), bias = try layers["a"].tensor("bias", 3)
    let y = layer(x, after: norm, enlargedTo: enlarged).values.map(Double.init)
    #expect(tap.names.map(\.path) == ["a.weight"])
    #expect(relativeDifference(y, product(tap.rows, weight, bias)) <= 1e-5, "\(way)")
  }

  @Test("A change through the tap is a change of the weight", arguments: Way.allCases)
  func change(way: Way) throws {
    let tap = Record(), layers = LayerSource(MadeUp(), .denoiser, backend: backend, tap: tap)
    let size = MapSize(height: 6, width: 5), x = map(size, channels: 4, seed: 3)
    var generator = SplitMix64(seed: 4)
    let enlarged: MapSize? = way == .enlarging ? size.doubled : nil
    let layer = try layers.convolution(
      "a", 4, 3, geometry: way == .halving ? .halving : .same, expecting: enlarged ?? size,
      enlarging: way == .enlarging)
    let norm = way == .afterNorm ? try layers.groupNorm("n", 4, groups: 2, epsilon: 1e-5).factors(x) : nil
    let plain = layer(x, after: norm, enlargedTo: enlarged).values
    let noise = Tensor(generator.gaussians(3 * 4 * 9), shape: [3, 4, 3, 3], dtype: .f32)
    tap.change = (WeightName(.denoiser, "a.weight"), noise)
    let changed = layer(x, after: norm, enlargedTo: enlarged).values
    let difference = zip(changed, plain).map { Double($0) - Double($1) }
    #expect(relativeDifference(difference, product(tap.rows, noise, nil)) <= 1e-5, "\(way)")
    guard way == .same || way == .afterNorm else { return }
    var sum = map(size, channels: 3, seed: 5)
    let before = sum.values
    layer.add(x, after: norm, to: &sum)
    let added = zip(sum.values, before).map { Double($0) - Double($1) }
    #expect(relativeDifference(added, changed.map(Double.init)) <= 1e-5)
  }

  @Test("One of several joined weights can be changed")
  func changeOfJoined() throws {
    let tap = Record(), layers = LayerSource(MadeUp(), .denoiser, backend: backend, tap: tap)
    let x = map(MapSize(height: 2, width: 3), channels: 4, seed: 6)
    let joined = try layers.linear(joining: ["b", "c"], 4, 3, bias: false)
    let plain = joined(x, as: .f32).values
    var generator = SplitMix64(seed: 7)
    let noise = Tensor(generator.gaussians(12), shape: [3, 4], dtype: .f32)
    tap.change = (WeightName(.denoiser, "c.weight"), noise)
    let changed = joined(x, as: .f32).values
    let expected = product(tap.rows, noise, nil)
    for (index, pair) in zip(changed, plain).enumerated() {
      let row = index / 6, column = index % 6
      let wanted = column < 3 ? 0 : expected[row * 3 + column - 3]
      #expect(abs(Double(pair.0) - Double(pair.1) - wanted) <= 1e-4, "number \(index)")
    }
  }
}
