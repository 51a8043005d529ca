import Checkpoints
import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Adapters

/// LoHa, LoKr and full differences against the library that defines them; see `Tests/Goldens/families`.
@Suite struct ComposedTargetTests {
  private struct Document: Decodable {
    struct Target: Decodable {
      let algorithm: String
      let kind: String
      let shape: [Int]
      let rank: Int
      let parts: [String]
    }
    let targets: [String: Target]
  }

  private static func documents() throws -> (Document, Adapter, SafetensorsFile) {
    (
      try JSONDecoder().decode(Document.self, from: Goldens.data("families/targets.json")),
      try Adapter(path: Goldens.path("families/adapter.safetensors")),
      try SafetensorsFile(path: Goldens.path("families/expected.safetensors"))
    )
  }

  @Test("the product of the factors is the library's delta, to the last bits of its doubles")
  func deltas() throws {
    let (document, adapter, expected) = try Self.documents()
    #expect(adapter.targets.count == document.targets.count && adapter.unsupported.isEmpty && adapter.unknown.isEmpty)
    #expect(adapter.problems.allSatisfy { !$0.isFatal })
    var cells: [String: Int] = [:]
    for target in adapter.targets {
      let golden = try #require(document.targets[target.name])
      #expect(target.algorithm.rawValue == golden.algorithm)
      let product = Dense.product(
        target.up.doubles(), target.down.doubles(), rows: target.rows, inner: target.rank, columns: target.columns)
      let delta = try #require(expected.index(of: target.name).map { expected.tensor(expected.entries[$0]).doubles() })
      let error = relativeDifference(product.map { $0 * target.scale }, delta)
      #expect(error <= 1e-12, "\(target.name) (\(golden.algorithm), \(golden.kind), \(golden.parts)): \(error)")
      // A convolution of one point is stored as a matrix.
      #expect(target.shape.extents == golden.shape || golden.kind == "point", "\(target.name): \(target.shape)")
      #expect(target.rank <= min(target.rows, target.columns))
      cells["\(golden.algorithm) \(golden.kind): \(golden.parts.joined(separator: " "))", default: 0] += 1
    }
    for cell in cells.keys.sorted() { print("covered: \(cell), \(cells[cell]!) targets") }
    #expect(cells.count == 19)
  }

  @Test("what is stored is what is counted: bytes, parameters, number format and rank are the file's")
  func account() throws {
    let adapter = try Adapter(path: Goldens.path("families/adapter.safetensors"))
    let file = try SafetensorsFile(path: Goldens.path("families/adapter.safetensors"))
    let alphas = file.entries.filter { $0.name.hasSuffix(".alpha") }.count
    #expect(adapter.parameterCount == file.entries.reduce(0) { $0 + $1.shape.elementCount } - alphas)
    #expect(adapter.targets.allSatisfy { $0.dtype == .f32 && $0.byteCount == 4 * $0.parameterCount })
    let loha = adapter.targets.filter { $0.algorithm == .loha }
    #expect(
      Set(loha.map(\.storedRank)).isSubset(of: [1, 2, 3, 4])
        && loha.contains { $0.rank == $0.storedRank * $0.storedRank })
  }

  @Test("two whole matrices of LoKr take no alpha, however large it is")
  func wholeMatrices() throws {
    let folder = try TemporaryFolder(), path = folder.file("lokr.safetensors"),
      name = "lora_unet_mid_block_attentions_0_proj_in"
    try writeAdapter(
      to: path,
      tensors: [
        filler("\(name).lokr_w1", [2, 3]), filler("\(name).lokr_w2", [4, 5]), ("\(name).alpha", [], .f32, [1e10]),
      ])
    let target = try #require(try Adapter(path: path).targets.first)
    #expect(target.scale == 1 && target.alpha == nil && target.rows == 8 && target.columns == 15)
  }

  @Test("what lacks a matrix, or has one of another shape, is named")
  func faults() throws {
    let folder = try TemporaryFolder(), name = "lora_unet_mid_block_attentions_0_proj_in"
    func problems(_ tensors: [NamedValues]) throws -> [String] {
      let path = folder.file("\(UUID().uuidString).safetensors")
      try writeAdapter(to: path, tensors: tensors)
      return try Adapter(path: path).problems.filter(\.isFatal).map(\.description)
    }
    func loha(_ shapes: [String: [Int]]) -> [NamedValues] {
      shapes.sorted { $0.key < $1.key }.map { filler("\(name).hada_\($0.key)", $0.value) }
    }
    #expect(
      try problems(loha(["w1_a": [8, 2], "w1_b": [2, 6], "w2_a": [8, 2]])) == [
        "\(name): factors: expected hada_w2_b, found none; hint: the file is incomplete"
      ])
    for wrong in [
      ["w1_a": [8, 2], "w1_b": [3, 6], "w2_a": [8, 2], "w2_b": [2, 6]],
      ["w1_a": [8, 2], "w1_b": [2, 6], "w2_a": [8, 2], "w2_b": [2, 7]],
      ["w1_a": [8, 0], "w1_b": [0, 6], "w2_a": [8, 2], "w2_b": [2, 6]],
      ["w1_a": [8], "w1_b": [2, 6], "w2_a": [8, 2], "w2_b": [2, 6]],
      ["w1_a": [2, 8], "w1_b": [2, 6], "t1": [2, 3, 3, 3], "w2_a": [2, 8], "w2_b": [2, 6], "t2": [2, 2, 3, 3]],
    ] {
      let found = try problems(loha(wrong))
      #expect(found.count == 1 && found[0].contains("shape: expected"), "\(wrong): \(found)")
    }
    #expect(try problems([filler("\(name).lokr_w1", [2, 2])]).first?.contains("expected lokr_w2_a") == true)
    #expect(try problems([filler("\(name).diff", [0, 4])]).first?.contains("expected a weight of 2 to 5 axes") == true)
    // Numbers that are not there yet when names and shapes are read.
    let path = folder.file("nan.safetensors")
    try writeAdapter(
      to: path,
      tensors: loha(["w1_a": [8, 2], "w1_b": [2, 6], "w2_a": [8, 2], "w2_b": [2, 6]]).map {
        $0.name.hasSuffix("w2_a") ? ($0.name, $0.shape, $0.dtype, $0.values.map { _ in .nan }) : $0
      })
    #expect(try Adapter(path: path).targets.count == 1)
  }

  @Test(
    "small matrices whose product is larger than any weight are refused",
    arguments: [
      ["lokr_w1": [200, 200], "lokr_w2": [200, 200]],
      ["lokr_w1_a": [40_000, 1], "lokr_w1_b": [1, 40_000], "lokr_w2": [1, 1]],
      ["hada_w1_a": [40_000, 1], "hada_w1_b": [1, 40_000], "hada_w2_a": [40_000, 1], "hada_w2_b": [1, 40_000]],
      [
        "hada_w1_a": [40_000, 1], "hada_w1_b": [1, 40_000], "hada_t1": [40_000, 1, 1], "hada_w2_a": [1, 1],
        "hada_w2_b": [1, 1],
      ],
      ["lora_up.weight": [1, 40_000], "lora_down.weight": [1, 40_000], "lora_mid.weight": [40_000, 1, 1]],
    ] as [[String: [Int]]])
  func tooLarge(parts: [String: [Int]]) throws {
    let folder = try TemporaryFolder()
    try writeTensors(
      parts.map {
        (
          "lora_unet_x.\($0.key)",
          Tensor(dtype: .u8, shape: Shape($0.value), bytes: Bytes(count: $0.value.reduce(1, *)) { _ in })
        )
      }, to: folder.file("a.safetensors"))
    let adapter = try Adapter(path: folder.file("a.safetensors"))
    #expect(adapter.targets.isEmpty && adapter.problems.count == 1)
    #expect(adapter.problems.allSatisfy { $0.isFatal && $0.description.contains("at most 1073741824 elements") })
  }
}
