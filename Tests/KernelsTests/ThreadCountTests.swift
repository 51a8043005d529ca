import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The same bits with any number of threads.
@Suite struct ThreadCountTests {
  static let kinds = KernelsUnderTest.available.filter { $0 != .reference }

  /// Runs `body` with few threads and with many, and compares its numbers bit by bit.
  private func expectSame(_ kind: KernelsUnderTest, _ what: String, _ body: (any Backend) -> FeatureMap) {
    KernelThread.run {
      func bits(_ threads: Int) -> [UInt32] { body(kind.make(threads: threads)).values.map(\.bitPattern) }
      let alone = bits(1)
      for threads in [2, 3, 4, 16] {
        // Not the numbers: a difference of so many would take minutes to print.
        let differing = zip(bits(threads), alone).count { $0 != $1 }
        #expect(differing == 0, "\(kind), \(what): \(threads) threads give other bits than one")
      }
    }
  }

  @Test("own kernels", arguments: kinds)
  func ownKernels(_ kind: KernelsUnderTest) {
    var generator = SplitMix64(seed: 21)
    let numbers = generator.floats(2 * 33 * 31 * 64), width = 31
    func map(_ backend: any Backend, channels: Int) -> FeatureMap {
      FeatureMap(
        Array(numbers.prefix(2 * 33 * width * channels)), batch: 2, height: 33, width: width, channels: channels,
        pool: backend.pool)
    }
    for channels in [6, 64] {
      let weights = generator
      func norm(_ backend: any Backend) -> Norm {
        var weights = weights
        return weights.norm(channels, pool: backend.pool)
      }
      expectSame(kind, "group norm of \(channels)") {
        let x = map($0, channels: channels)
        return $0.normalized(x, by: $0.factors(of: norm($0), groups: 2, for: x, offset: nil).with(.silu), as: .f32)
      }
      expectSame(kind, "layer norm of \(channels)") { $0.layerNorm(map($0, channels: channels), norm($0), as: .f32) }
      expectSame(kind, "gated GELU of \(channels)") { $0.gatedGELU($0.asOperand(map($0, channels: channels))) }
      expectSame(kind, "GELU of \(channels)") { $0.activated(map($0, channels: channels), .gelu, as: .f32) }
      expectSame(kind, "joint of \(channels)") {
        $0.concatenated(map($0, channels: channels), map($0, channels: channels))
      }
      expectSame(kind, "sum of \(channels)") {
        var sum = map($0, channels: channels)
        $0.add(map($0, channels: channels), to: &sum)
        return sum
      }
      expectSame(kind, "attention of \(channels)") {
        let x = $0.asOperand(map($0, channels: channels))
        return $0.attention(x, x, x, heads: 2, isCausal: channels == 6)
      }
    }
  }

  /// Rows of steps, texts and maps: few and many, and long sums, where a library might share out the terms.
  static let matrices = [
    (2, 320, 1280), (1, 1280, 1280), (4, 2816, 1280), (77, 768, 3072), (77, 3072, 768), (154, 768, 640),
    (128, 2560, 640), (64, 1280, 3840), (2048, 320, 320), (1024, 4, 4),
  ]

  @Test("products of the real widths", arguments: kinds.filter { $0 != .winograd }, matrices)
  func products(_ kind: KernelsUnderTest, _ shape: (rows: Int, inputs: Int, outputs: Int)) {
    var generator = SplitMix64(seed: 22)
    let weight = generator.quickWeight(shape.outputs, shape.inputs), bias = generator.bias(shape.outputs)
    let numbers = generator.quickFloats(shape.rows * shape.inputs, size: 1)
    expectSame(kind, "\(shape)") { backend in
      let x = FeatureMap(
        numbers, batch: 1, height: 1, width: shape.rows, channels: shape.inputs, pool: backend.pool)
      let linear = backend.linear(weight: weight, bias: bias, precision: backend.precision)
      var sum = linear(x, as: .f32)
      linear.add(x, to: &sum)
      return sum
    }
  }

  struct Layer: Sendable, CustomStringConvertible {
    var batch = 1
    let size: Int
    let inputs: Int
    let outputs: Int
    var geometry = ConvolutionGeometry.same
    var isEnlarging = false
    var description: String { "\(batch) × \(size) × \(size), \(inputs) to \(outputs), stride \(geometry.stride)" }
  }

  static let layers = [
    Layer(batch: 2, size: 32, inputs: 4, outputs: 320), Layer(batch: 2, size: 32, inputs: 320, outputs: 4),
    Layer(batch: 2, size: 8, inputs: 640, outputs: 640), Layer(size: 4, inputs: 1280, outputs: 320),
    Layer(batch: 2, size: 16, inputs: 320, outputs: 320, geometry: .halving),
    Layer(size: 32, inputs: 128, outputs: 128, geometry: .halvingAtEnd),
    Layer(batch: 2, size: 20, inputs: 320, outputs: 160), Layer(size: 64, inputs: 128, outputs: 3),
    Layer(batch: 2, size: 12, inputs: 320, outputs: 320, isEnlarging: true),
  ]

  @Test("convolutions of the real widths", arguments: kinds, layers)
  func convolutions(_ kind: KernelsUnderTest, _ layer: Layer) {
    var generator = SplitMix64(seed: 23)
    let weight = generator.quickWeight(layer.outputs, layer.inputs, 3, 3), bias = generator.bias(layer.outputs)
    let numbers = generator.quickFloats(layer.batch * layer.size * layer.size * layer.inputs, size: 1)
    expectSame(kind, "\(layer)") { backend in
      let x = FeatureMap(
        numbers, batch: layer.batch, height: layer.size, width: layer.size, channels: layer.inputs, pool: backend.pool)
      let size = layer.isEnlarging ? x.size.doubled : x.size
      let convolution = backend.convolution(
        weight: weight, bias: bias, geometry: layer.geometry, precision: backend.precision, expecting: size,
        enlarging: layer.isEnlarging)
      return convolution(x, after: nil, enlargedTo: layer.isEnlarging ? size : nil)
    }
  }
}

extension SplitMix64 {
  /// Uniform numbers, where normal ones would take too long.
  fileprivate mutating func quickFloats(_ count: Int, size: Float) -> [Float] {
    (0..<count).map { _ in Float(Int64(bitPattern: next()) >> 40) * 0x1p-23 * size }
  }

  fileprivate mutating func quickWeight(_ extents: Int...) -> Tensor {
    let shape = Shape(extents), inputs = shape.elementCount / extents[0]
    return Tensor(
      dtype: .f32, shape: shape,
      bytes: Bytes(copying: quickFloats(shape.elementCount, size: 1.7 / Float(inputs).squareRoot())))
  }
}
