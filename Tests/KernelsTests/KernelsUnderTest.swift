import Kernels
import Tensors
import TestSupport

@testable import Kernels

/// The ways of computing that each operation is tested with.
enum KernelsUnderTest: String, CaseIterable, Sendable, CustomStringConvertible {
  case reference
  /// f32 without transformed tiles.
  case direct
  /// f32 with transformed tiles wherever they can be, whose rounding errors are ten times as large.
  case winograd
  case bf16

  /// Those that this processor has.
  static let available = allCases.filter { kind in
    switch kind {
    case .reference: true
    case .direct, .winograd: NativeBackend.precisions.contains(.f32)
    case .bf16: NativeBackend.precisions.contains(.bf16)
    }
  }

  var description: String { rawValue }

  func make(threads: Int = 2) -> any Backend {
    switch self {
    case .reference: ReferenceBackend()
    case .direct: NativeBackend(precision: .f32, threads: threads, usesWinograd: false)
    case .winograd: NativeBackend(precision: .f32, threads: threads)
    case .bf16: NativeBackend(precision: .bf16, threads: threads)
    }
  }

  /// Whether `found` is as near to `expected` as the arithmetic allows; false where a number is NaN.
  ///
  /// - Parameters:
  ///   - terms: of the longest sum that a number is made of.
  ///   - single: how far another implementation in f32 is away.
  func accepts(_ found: [Float], _ expected: [Float], terms: Int, single: Float = 0) -> Bool {
    let size = rootMeanSquare(expected)
    if self == .bf16 { return typicalDifference(found, expected) <= 5e-3 * size }
    let limit = min(2e-6 * Float(terms).squareRoot(), 2e-5) * size
    return largestDifference(found, expected) <= max(limit, 2 * single) * (self == .winograd ? 10 : 1)
  }
}

extension FeatureMap {
  /// Random normal numbers.
  static func random(
    batch: Int = 1, height: Int = 1, width: Int, channels: Int, from generator: inout SplitMix64, pool: any MemoryPool
  ) -> FeatureMap {
    FeatureMap(
      generator.floats(batch * height * width * channels), batch: batch, height: height, width: width,
      channels: channels, pool: pool)
  }

  init(_ values: [Float], like map: FeatureMap, pool: any MemoryPool) {
    self.init(
      values, batch: map.batch, height: map.height, width: map.width, channels: map.channels, pool: pool)
  }

  /// The numbers of `tensor`: batch × channels × height × width, or any extents and then channels.
  init(_ tensor: Tensor, pool: any MemoryPool) {
    let extents = tensor.shape.extents
    if extents.count == 4 {
      self.init(
        planar: tensor.floats(), batch: extents[0], channels: extents[1], height: extents[2], width: extents[3],
        pool: pool)
    } else {
      let batch = extents.count == 3 ? extents[0] : 1, channels = extents.last!
      self.init(
        tensor.floats(), batch: batch, height: 1, width: tensor.elementCount / batch / channels, channels: channels,
        pool: pool)
    }
  }
}

extension SplitMix64 {
  mutating func floats(_ count: Int, deviation: Double = 1) -> [Float] {
    gaussians(count).map { Float($0 * deviation) }
  }

  /// Weights that keep the size of what they are multiplied with.
  mutating func weight(_ extents: Int...) -> Tensor {
    let shape = Shape(extents), inputs = shape.elementCount / extents[0]
    return Tensor(
      dtype: .f32, shape: shape,
      bytes: Bytes(copying: floats(shape.elementCount, deviation: 1 / Double(inputs).squareRoot())))
  }

  mutating func bias(_ count: Int) -> Tensor {
    Tensor(dtype: .f32, shape: Shape([count]), bytes: Bytes(copying: floats(count, deviation: 0.1)))
  }

  mutating func norm(_ channels: Int, epsilon: Float = 1e-5, pool: any MemoryPool) -> Norm {
    func tensor(_ values: [Float]) -> Tensor {
      Tensor(dtype: .f32, shape: Shape([channels]), bytes: Bytes(copying: values))
    }
    return Norm(
      scale: tensor(floats(channels, deviation: 0.3).map { $0 + 1 }), shift: bias(channels), epsilon: epsilon,
      pool: pool)
  }
}

extension Backend {
  /// `x` with the operands' number of bits.
  func asOperand(_ x: FeatureMap) -> FeatureMap { activated(x, .identity, as: operand) }
}
