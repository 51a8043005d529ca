import Kernels
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct TinyDecoderTests {
  /// Whose names the tensors have in a file.
  enum Naming: String, CaseIterable { case author, authorBehindDecoder, diffusers }

  private func write(_ naming: Naming, _ seeded: SeededTensors, to path: String, without left: String? = nil) throws {
    let entries = seeded.entries.filter {
      $0.name.hasPrefix("decoder.") && $0.name != left
    }
    try writeTensors(
      try entries.map { entry in
        let original = try #require(entry.original)
        let name =
          switch naming {
          case .author: original
          case .authorBehindDecoder: "decoder." + original
          case .diffusers: entry.name
          }
        return (name, try seeded.tensor(entry))
      }, to: path)
  }

  @Test("decodes as diffusers does, under all names", arguments: Naming.allCases)
  func decodes(_ naming: Naming) throws {
    let seeded = try SeededTensors(folder: "diffusion/taesd"), folder = try TemporaryFolder()
    try write(naming, seeded, to: folder.file("taesd.safetensors"))
    let outputs = try SafetensorsFile(path: Goldens.path("diffusion/taesd/outputs.safetensors"))
    let expected = try #require(outputs["decode/image"]).floats()
    let size = expected.reduce(1) { max($0, abs($1)) }
    try KernelThread.run {
      for kind in [TestedBackend.native, .winograd] {
        let backend = kind.make()
        let latent = FeatureMap(try seeded.tensor("decode/latent"), pool: backend.pool)
        // Larger than it is, for small maps would not be transformed.
        let decoder = try TinyDecoder(
          path: folder.file("taesd.safetensors"), backend: backend, expecting: MapSize(height: 32, width: 32))
        let image = decoder(latent), difference = largestDifference(image.planarValues, expected)
        #expect(difference <= 2e-5 * kind.leniency * size, "\(kind): \(difference) of \(size)")
      }
    }
  }

  @Test("plain loops decode the same")
  func plainLoops() throws {
    let seeded = try SeededTensors(folder: "diffusion/taesd"), folder = try TemporaryFolder()
    try write(.diffusers, seeded, to: folder.file("taesd.safetensors"))
    try KernelThread.run {
      // One pixel: 64 in the end.
      func image(_ backend: any Backend) throws -> [Float] {
        let latent = FeatureMap([2, -0.5, 7, 0.1], batch: 1, height: 1, width: 1, channels: 4, pool: backend.pool)
        return try TinyDecoder(path: folder.file("taesd.safetensors"), backend: backend, expecting: latent.size)(latent)
          .values
      }
      let difference = largestDifference(
        try image(TestedBackend.native.make()), try image(TestedBackend.reference.make()))
      #expect(difference <= 2e-5, "\(difference)")
    }
  }

  @Test("a missing tensor and a wrong shape are named")
  func errors() throws {
    let seeded = try SeededTensors(folder: "diffusion/taesd"), folder = try TemporaryFolder()
    let path = folder.file("taesd.safetensors"), size = MapSize(height: 8, width: 8)
    try write(.diffusers, seeded, to: path, without: "decoder.layers.7.conv.2.bias")
    let error = try #require(throws: NetworkError.self) {
      try KernelThread.run { _ = try TinyDecoder(path: path, backend: ReferenceBackend(), expecting: size) }
    }
    #expect(error.description.contains("decoder.layers.7.conv.2.bias") && error.file == path, "\(error)")
    try writeTensors(
      [("1.weight", Tensor([Double](repeating: 0, count: 64 * 16 * 9), shape: [64, 16, 3, 3], dtype: .f16))], to: path)
    let other = try #require(throws: NetworkError.self) {
      try KernelThread.run { _ = try TinyDecoder(path: path, backend: ReferenceBackend(), expecting: size) }
    }
    #expect(other.description.contains("expected [64, 4, 3, 3], found [64, 16, 3, 3]"), "\(other)")
  }
}
