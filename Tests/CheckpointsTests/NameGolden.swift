import Checkpoints
import FoundationEssentials
import Models
import Tensors
import TestSupport

/// `Tests/Goldens/names/expected.json`: a tiny model's tensors in its authors' layout and in diffusers'.
struct NameGolden: Decodable, Sendable, CustomStringConvertible {
  /// A tensor of diffusers' layout: its shape, and the checksum of its contents.
  struct Expectation: Decodable, Sendable {
    let shape: [Int]
    let checksum: UInt32

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      shape = try values.decode([Int].self)
      checksum = try values.decode(UInt32.self)
    }
  }

  let name: String
  let family: String
  let component: String
  /// Tensors of the authors' layout that the other has not.
  let unmapped: [String]
  let original: [String: [Int]]
  let diffusers: [String: Expectation]

  var description: String { name }

  static let all: [NameGolden] = {
    struct Document: Decodable { let models: [NameGolden] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("names/expected.json")).models
    } catch { fatalError("Tests/Goldens/names/expected.json: \(error)") }
  }()

  static func named(_ name: String) -> NameGolden { all.first { $0.name == name }! }

  var network: Component { Component(rawValue: component)! }

  /// What may stand before the names in a single file.
  var prefixes: [String] {
    switch name {
    case "auraflow": ["", "model.", "model.diffusion_model."]
    case "cosmos-predict2", "anima": ["", "net."]
    case "hunyuan-video-repacked": ["", "model.model.", "model.diffusion_model."]
    case "vae": ["", "first_stage_model.", "vae."]
    case "clip-l":
      [
        "", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer.",
        "text_encoders.clip_l.transformer.",
      ]
    case "openclip-h": ["", "cond_stage_model.model."]
    case "openclip-bigg": ["conditioner.embedders.0.model.", "conditioner.embedders.1.model."]
    case "t5": ["text_encoders.t5xxl.transformer."]
    default: ["", "model.diffusion_model."]
    }
  }

  /// The contents of every tensor in the authors' layout, as the script that made the goldens defines them.
  var originalTensors: [NamedValues] {
    original.keys.sorted().enumerated().map { index, name in
      let shape = original[name]!
      let values = (0..<shape.reduce(1, *)).map { Double(Self.mix(UInt32(index), UInt32($0))) }
      return (name, shape, .f32, values)
    }
  }

  private static func mix(_ i: UInt32, _ k: UInt32) -> UInt32 {
    var h = i &* 2_654_435_761 &+ k &* 40503 &+ 12345
    h ^= h >> 15
    h = h &* 2_246_822_519
    h ^= h >> 13
    return h & 0xffff
  }

  /// The sum of (2 k + 1) · value k, modulo 2³².
  static func checksum(_ values: [Double]) -> UInt32 {
    values.enumerated().reduce(0) { $0 &+ UInt32($1.element) &* UInt32(2 * $1.offset + 1) }
  }
}

extension Array where Element == NamedValues {
  func prefixed(_ prefix: String) -> [NamedValues] { map { (prefix + $0.name, $0.shape, $0.dtype, $0.values) } }
}

extension Checkpoint {
  /// The numbers of a weight, put together row by row as the pieces say.
  func values(of weight: NamedWeight) -> [Double] {
    weight.pieces.flatMap { piece -> [Double] in
      let tensor = tensor(weights[piece.stored]), (rows, columns) = tensor.shape.flattened, values = tensor.doubles()
      if piece.isTransposed {
        return (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
      }
      let own = Array(values[piece.storedRows.lowerBound * columns..<piece.storedRows.upperBound * columns])
      return piece.swapsHalves ? Array(own[(own.count / 2)...] + own[..<(own.count / 2)]) : own
    }
  }
}
