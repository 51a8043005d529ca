import Tensors
import Testing

/// Proves what counts as a shape, and how tensors of one element and of none behave.
@Suite struct ShapeTests {
  @Test(
    "the number of elements is the product of the extents",
    arguments: [([], 1), ([5], 5), ([3, 4, 5], 60), ([3, 0, 5], 0), ([1, 1, 1], 1), ([0, .max, 1], 0)] as [([Int], Int)]
  )
  func product(extents: [Int], count: Int) {
    #expect(Shape.elementCount(of: extents) == count)
    #expect(Shape(extents).elementCount == count)
  }

  @Test(
    "an extent below zero or a product beyond Int is no shape, and a zero hides neither",
    arguments: [[-1], [3, -1], [.max, 2], [1 << 32, 1 << 31], [.max, 2, 0], [0, .max, 2], [0, -1]] as [[Int]])
  func overflow(extents: [Int]) { #expect(Shape.elementCount(of: extents) == nil) }

  @Test("a shape seen as a matrix keeps its first extent as rows")
  func flattened() {
    #expect(Shape([6, 4, 3, 3]).flattened == (6, 36))
    #expect(Shape([6]).flattened == (6, 1))
    #expect(Shape([]).flattened == (1, 1))
    #expect(Shape([6, 4, 3, 3])[1] == 4 && Shape([6, 4]).rank == 2)
  }

  @Test("a shape is written as a list")
  func description() {
    #expect("\(Shape([320, 768]))" == "[320, 768]")
    #expect("\(Shape([]))" == "[]")
  }

  @Test(
    "a tensor with one element has a scalar, whatever its number of axes", arguments: [[], [1], [1, 1, 1]] as [[Int]])
  func scalar(extents: [Int]) {
    #expect(Tensor([2.5], shape: Shape(extents), dtype: .f16).scalar == 2.5)
  }

  @Test("more or fewer elements, or a format that cannot be read, give no scalar")
  func noScalar() {
    #expect(Tensor([1, 2], shape: [2], dtype: .f32).scalar == nil)
    #expect(Tensor([], shape: [0], dtype: .f32).scalar == nil)
    #expect(Tensor(dtype: .f8e8m0, shape: [1], bytes: Bytes(copying: [127] as [UInt8])).scalar == nil)
  }

  @Test("a tensor without elements reads as an empty list", arguments: [DType.f64, .f32, .f16, .f8e4m3, .i64])
  func empty(dtype: DType) {
    let tensor = Tensor([], shape: [0, 3], dtype: dtype)
    #expect(tensor.doubles().isEmpty && tensor.floats().isEmpty && tensor.bytes.count == 0)
  }

  @Test("formats that cannot be read as real numbers say so")
  func readable() {
    let unreadable = DType.allCases.filter { !$0.isReadable }.map(\.rawValue)
    #expect(unreadable == ["F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"])
  }

  @Test("the canonical order of formats is the reference library's")
  func order() {
    #expect(
      DType.allCases.sorted { $0.canonicalRank < $1.canonicalRank }.map(\.rawValue) == [
        "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
      ])
  }
}
