import Checkpoints
import Foundation
import JSON
import Kernels
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Networks

/// A network's inputs and outputs by diffusers, from `Tests/Goldens/diffusion`.
struct NetworkGolden: CustomStringConvertible {
  struct Document: Decodable {
    struct Case: Decodable {
      let name: String
      /// How far torch's own output in single precision is from that in double.
      let float64: Float
    }
    let model: String?
    let cases: [Case]
  }

  let name: String
  let inputs: SafetensorsFile
  let outputs: SafetensorsFile
  let cases: [String]
  /// Of each case: twice what torch's rounding alone makes, and at least 2e-5.
  let limits: [String: Float]
  /// The folder of the model.
  let model: String

  init(_ name: String) throws {
    self.name = name
    let document = try JSONDecoder().decode(Document.self, from: Goldens.data("diffusion/\(name)/cases.json"))
    cases = document.cases.map(\.name)
    limits = Dictionary(uniqueKeysWithValues: document.cases.map { ($0.name, max(2e-5, 2 * $0.float64)) })
    model = Goldens.path("diffusion/\(document.model ?? name)")
    inputs = try SafetensorsFile(path: Goldens.path("diffusion/\(name)/inputs.safetensors"))
    outputs = try SafetensorsFile(path: Goldens.path("diffusion/\(name)/outputs.safetensors"))
  }

  var description: String { name }

  func input(_ name: String) throws -> Tensor {
    guard let tensor = inputs[name] else { throw Missing(name: name) }
    return tensor
  }

  func output(_ name: String) throws -> Tensor {
    guard let tensor = outputs[name] else { throw Missing(name: name) }
    return tensor
  }

  /// All cases' blocks in the order in which they run, as far as there are outputs of them.
  func hasOutput(_ name: String) -> Bool { outputs[name] != nil }

  struct Missing: Error { let name: String }
}

/// The fields of a network's `config.json`.
func configurationFields(_ path: String) throws -> [String: JSONValue] {
  try #require(try JSONValue(parsing: String(contentsOf: URL(filePath: path), encoding: .utf8))?.object)
}

extension FeatureMap {
  /// - Parameter tensor: batch × channels × height × width, or batch × tokens × channels.
  init(_ tensor: Tensor, pool: any MemoryPool) {
    let extents = tensor.shape.extents
    if extents.count == 4 {
      self.init(
        planar: tensor.floats(), batch: extents[0], channels: extents[1], height: extents[2], width: extents[3],
        pool: pool)
    } else {
      self.init(
        tensor.floats(), batch: extents[0], height: 1, width: extents[1], channels: extents[2], pool: pool)
    }
  }
}

/// The ways of computing that a network is tested with.
enum TestedBackend: String, CaseIterable {
  case reference, native
  /// With transformed tiles, whose rounding errors are ten times as large.
  case winograd

  /// With one thread, for networks so small that others only wait; that more give the same bits is tested by itself.
  func make(threads: Int = 1) -> any Backend {
    switch self {
    case .reference: ReferenceBackend()
    case .native: NativeBackend(precision: .f32, threads: threads, usesWinograd: false)
    case .winograd: NativeBackend(precision: .f32, threads: threads)
    }
  }

  var leniency: Float { self == .winograd ? 10 : 1 }
}
