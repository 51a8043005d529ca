import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// Each operation against the numbers of `Tests/Goldens/diffusion/operations`, which are those of double precision.
@Suite struct OperationTests {
  struct Case: Decodable, Sendable, CustomStringConvertible {
    struct Settings: Decodable, Sendable {
      let groups: Int?
      let eps: Float?
      let silu: Bool?
      let stride: Int?
      let padding: [Int]?
      let size: [Int]?
      let function: String?
      let heads: Int?
      let causal: Bool?
    }
    let name: String
    let kind: String
    let settings: Settings
    let inputs: [String: String]
    let shape: [Int]
    let stride: Int
    let float32: Float
    var description: String { name }
  }

  static let cases: [Case] = {
    do {
      let all = try JSONDecoder().decode([Case].self, from: Goldens.data("diffusion/operations/cases.json"))
      // Times are the networks' affair.
      return all.filter { $0.kind != "time" }
    } catch { fatalError("operations/cases.json: \(error)") }
  }()
  static let seeded: SeededTensors = {
    do { return try SeededTensors(folder: "diffusion/operations") } catch { fatalError("\(error)") }
  }()

  @Test("agrees with double precision", arguments: KernelsUnderTest.available, cases)
  func agrees(_ kind: KernelsUnderTest, _ test: Case) throws {
    // Too much for plain loops; other cases show the same.
    if kind == .reference, test.name == "conv-3x3-wide" { return }
    let file = try GoldenTensors("diffusion/operations/outputs.safetensors")
    var expected = try #require(file[test.name]).floats()
    try KernelThread.run {
      let backend = kind.make()
      func numbers(_ map: FeatureMap) -> [Float] {
        let values = test.shape.count == 4 ? map.planarValues : map.values
        #expect(values.count == test.shape.reduce(1, *))
        return stride(from: 0, to: values.count, by: test.stride).map { values[$0] }
      }
      let (map, terms) = try compute(test, backend)
      let found = numbers(map)
      // A large score's rounding is a large factor of its weight: compare for the same rounded inputs.
      if kind == .bf16, test.kind == "attention" {
        expected = numbers(try compute(test, ReferenceBackend(), rounding: backend).0)
      }
      #expect(
        kind.accepts(found, expected, terms: terms, single: test.float32),
        "\(largestDifference(found, expected)) of \(rootMeanSquare(expected)), \(terms) terms")
    }
  }

  private struct UnknownKind: Error { let kind: String }

  /// The operation's result, and how many terms its sums have.
  private func compute(
    _ test: Case, _ backend: any Backend, rounding other: (any Backend)? = nil
  ) throws -> (FeatureMap, terms: Int) {
    func tensor(_ role: String) throws -> Tensor { try Self.seeded.tensor(test.inputs[role] ?? role) }
    func map(_ role: String) throws -> FeatureMap {
      let map = FeatureMap(try tensor(role), pool: backend.pool)
      return other.map { FeatureMap($0.asOperand(map).values, like: map, pool: backend.pool) } ?? map
    }
    func norm() throws -> Norm {
      Norm(
        scale: try tensor("weight"), shift: try tensor("bias"), epsilon: try #require(test.settings.eps),
        pool: backend.pool)
    }
    let settings = test.settings
    switch test.kind {
    case "group-norm":
      let x = try map("x")
      let factors = backend.factors(of: try norm(), groups: try #require(settings.groups), for: x, offset: nil)
      return (backend.normalized(x, by: factors.with(settings.silu == true ? .silu : .identity), as: .f32), 1)
    case "layer-norm":
      return (backend.layerNorm(try map("x"), try norm(), as: .f32), 1)
    case "convolution", "upsampled-convolution":
      let weight = try tensor("weight"), x = try map("x"), enlarged = settings.size.map { MapSize($0) }
      let padding = settings.padding ?? [1, 1, 1, 1]
      let geometry = ConvolutionGeometry(
        stride: settings.stride ?? 1, before: MapSize(height: padding[2], width: padding[0]),
        after: MapSize(height: padding[3], width: padding[1]))
      // Large enough for every way of computing, and odd where the real size is.
      let size = enlarged.map { MapSize(height: 64 + $0.height % 2, width: 64 + $0.width % 2) }
      let convolution = backend.convolution(
        weight: weight, bias: try tensor("bias"), geometry: geometry, precision: backend.precision,
        expecting: size ?? MapSize([64, 64]), enlarging: enlarged != nil)
      return (
        convolution(x, after: nil, enlargedTo: enlarged), weight.elementCount / weight.shape.extents[0]
      )
    case "linear", "geglu":
      let weight = try tensor("weight"), bias = test.inputs["bias"] == nil ? nil : try tensor("bias")
      let linear = backend.linear(weight: weight, bias: bias, precision: backend.precision)
      let terms = weight.shape.extents[1]
      guard test.kind == "geglu" else { return (linear(try map("x"), as: .f32), terms) }
      return (backend.gatedGELU(linear(try map("x"), as: backend.operand)), terms)
    case "activation":
      let functions: [String: Activation] = ["silu": .silu, "gelu": .gelu, "quick_gelu": .quickGELU]
      let function = try #require(functions[settings.function ?? ""])
      return (backend.activated(try map("x"), function, as: .f32), 1)
    case "attention":
      let q = try map("q"), heads = try #require(settings.heads)
      let result = backend.attention(
        backend.asOperand(q), backend.asOperand(try map("k")), backend.asOperand(try map("v")), heads: heads,
        isCausal: settings.causal == true)
      return (result, q.channels / heads)
    default:
      throw UnknownKind(kind: test.kind)
    }
  }
}

extension MapSize {
  init(_ extents: [Int]) { self.init(height: extents[0], width: extents[1]) }
}
