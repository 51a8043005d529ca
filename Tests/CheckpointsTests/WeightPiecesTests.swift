import Tensors
import TestSupport
import Testing

@testable import Checkpoints

/// Proves that a weight put together from several tensors has the numbers of all of them.
@Suite struct WeightPiecesTests {
  /// A third is another number in each format.
  @Test(
    "parts in several number formats keep their digits, whichever comes first",
    arguments: [
      ([DType.f16, .f32], DType.f32), ([.f32, .f16], .f32), ([.bf16, .f16, .f32], .f32), ([.f8e4m3, .bf16], .f32),
      ([.f16, .f64], .f64), ([.bf16, .bf16], .bf16),
    ] as [([DType], DType)])
  func formats(formats: [DType], expected: DType) throws {
    let tensors = formats.map { Tensor([1.0 / 3, -2.0 / 3], shape: [1, 2], dtype: $0) }
    let parts = tensors.indices.map { NamedWeight(stored: $0, shape: [1, 2]) }
    let joined = try #require(NamedWeight.joined(parts))
    let whole = joined.assembled(shape: [formats.count, 2]) { tensors[$0] }
    #expect(whole.dtype == expected)
    #expect(whole.doubles() == tensors.flatMap { $0.doubles() })
  }
}
