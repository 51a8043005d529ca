import Codecs
import Models
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Checkpoints

/// Proves that files which other libraries quantised are read as these libraries read them, bit for bit.
@Suite struct QuantisedGoldenTests {
  private func open(_ file: String) throws -> (checkpoint: Checkpoint, expected: SafetensorsFile) {
    let stem = file.prefix { $0 != "." }
    return (
      try Checkpoint(path: Goldens.path("quantised/\(file)")),
      try SafetensorsFile(path: Goldens.path("quantised/\(stem).expected.safetensors"))
    )
  }

  private func decoded(_ name: String, in checkpoint: Checkpoint) throws -> Tensor {
    let weight = try #require(checkpoint.weights.first { $0.entry.name == name })
    return checkpoint.decodedTensor(weight)
  }

  /// What is compared with a tolerance, of the largest value: libraries sum rotations in another order.
  private static let rotated = [
    "convrot64.weight": 4e-7, "convrot256.weight": 4e-7, "w4a4.weight": 8e-7, "w4a8.weight": 8e-7,
  ]
  /// What is compared as values: zeros have no sign in their expectations.
  private static let unsigned = ["even.weight", "padded.weight", "k.MXFP4.weight", "k.NVFP4.weight"]

  @Test(arguments: [
    "comfy_fp8_markers.safetensors", "comfy_fp8_header.safetensors", "comfy_int8.safetensors",
    "comfy_nvfp4.safetensors", "comfy_mxfp8.safetensors", "comfy_4bit.safetensors", "musubi_fp8_block.safetensors",
    "deepseek_fp8_block.safetensors", "bnb.safetensors", "gguf_read.gguf",
  ])
  func decode(file: String) throws {
    let (checkpoint, expected) = try open(file)
    for entry in expected.entries {
      let tensor = try decoded(entry.name, in: checkpoint), own = tensor.floats()
      let (rows, columns) = entry.shape.flattened, stride = tensor.shape.flattened.columns
      #expect(tensor.shape.flattened.rows >= rows && stride >= columns, "\(entry.name)")
      var found = (0..<rows * columns).map { own[$0 / columns * stride + $0 % columns] }
      var wanted = expected.tensor(entry).floats()
      if entry.name == "smoothed.weight" {
        // The expectation is without what the runtime multiplies the inputs by.
        let factors = checkpoint.files[0].contents["smoothed.pre_quant_scale"]!.floats()
        wanted = wanted.indices.map { wanted[$0] * factors[$0 % columns] }
      }
      if let tolerance = Self.rotated[entry.name] {
        let largest = Double(wanted.map(\.magnitude).max()!)
        let error = zip(found, wanted).map { Double(($0 - $1).magnitude) }.max()!
        #expect(error <= tolerance * largest, "\(entry.name): \(error / largest)")
        continue
      }
      if Self.unsigned.contains(entry.name) {
        (found, wanted) = (found.map { $0 + 0 }, wanted.map { $0 + 0 })
      }
      let faults = zip(found, wanted).count { $0.bitPattern != $1.bitPattern }
      #expect(faults == 0, "\(entry.name): \(faults) of \(found.count)")
    }
  }

  @Test("only weights are weights: no scale, table or declaration is")
  func sides() throws {
    for file in ["comfy_fp8_markers", "comfy_fp8_header", "comfy_int8", "comfy_nvfp4", "comfy_4bit", "bnb"] {
      let (checkpoint, expected) = try open(file + ".safetensors")
      let names = checkpoint.names(of: .denoiser).filter { $0.hasSuffix(".weight") || !$0.hasSuffix(".bias") }
      #expect(Set(names) == Set(expected.entries.map(\.name)), "\(file)")
    }
  }

  @Test("names and sizes of formats")
  func names() throws {
    func facts(_ file: String, _ name: String) throws -> (String, Double) {
      let weight = try #require(try open(file).checkpoint.weights.first { $0.entry.name == name })
      let codec = try #require(weight.quantisation?.codec)
      return (codec.name, (codec.bitsPerWeight * 1000).rounded() / 1000)
    }
    #expect(try facts("gguf_read.gguf", "k.Q4_K.weight") == ("Q4_K", 4.5))
    #expect(try facts("bnb.safetensors", "nf4.weight") == ("nf4", 4.5))
    #expect(try facts("comfy_int8.safetensors", "convrot64.weight") == ("int8_tensorwise (ConvRot)", 8.125))
    #expect(try facts("musubi_fp8_block.safetensors", "block.weight") == ("scaled F8_E4M3", 8.25))
  }

  /// What ggml's own quantisers made of normal numbers is as far from these as such formats are.
  @Test("blocks that ggml wrote are near what they were made of")
  func written() throws {
    let (checkpoint, expected) = try open("gguf_write.gguf")
    let input = expected.tensor(expected.entries[0]).floats()
    let errors = [
      "Q8_0": 0.0065, "Q6_K": 0.02, "Q5_K": 0.042, "Q5_1": 0.045, "Q5_0": 0.05, "Q4_K": 0.085, "IQ4_NL": 0.09,
      "IQ4_XS": 0.09, "Q4_1": 0.09, "Q4_0": 0.1, "MXFP4": 0.14, "Q3_K": 0.18, "Q2_K": 0.35,
    ]
    var seen: Set<String> = []
    for weight in checkpoint.weights {
      guard let codec = weight.quantisation?.codec else { continue }
      let values = checkpoint.decodedTensor(weight).floats()
      let wanted = Array(input.prefix(values.count))
      let error = zip(values, wanted).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
      let size = wanted.reduce(0.0) { $0 + Double($1 * $1) }
      let limit = try #require(errors[codec.name])
      #expect((error / size).squareRoot() <= limit, "\(codec.name): \((error / size).squareRoot())")
      seen.insert(codec.name)
    }
    #expect(seen == Set(errors.keys))
  }

  @Test("tiles of any rows are the same numbers", arguments: 1...3 as ClosedRange<UInt64>)
  func tiles(seed: UInt64) throws {
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    let files = [
      "comfy_nvfp4.safetensors", "comfy_4bit.safetensors", "bnb.safetensors", "gguf_read.gguf",
      "musubi_fp8_block.safetensors",
    ]
    for file in files {
      for weight in try open(file).checkpoint.weights {
        guard let codec = weight.quantisation?.codec else { continue }
        let whole = codec.tensor(shape: weight.entry.shape).floats()
        let first = Int(random.next() % UInt64(codec.rows)), count = 1 + Int(random.next() % UInt64(codec.rows - first))
        let size = count * codec.columns
        let part = [Float](unsafeUninitializedCapacity: size) { target, filled in
          codec.decode(rows: first..<first + count, into: UnsafeMutableBufferPointer(rebasing: target[..<size]))
          filled = size
        }
        let faults = part.indices.count { part[$0].bitPattern != whole[first * codec.columns + $0].bitPattern }
        #expect(faults == 0, "\(weight.entry.name)")
      }
    }
  }
}
