import Checkpoints
import Models
import Tensors
import TestSupport
import Testing

/// Proves the maps of names: what diffusers' own converters make of a file is what Lathe reads from it, and back.
@Suite struct NameGoldenTests {
  @Test(arguments: NameGolden.all) func authorsLayout(golden: NameGolden) throws {
    let folder = try TemporaryFolder()
    for prefix in golden.prefixes {
      let path = folder.file("model.safetensors")
      try writeAdapter(to: path, tensors: golden.originalTensors.prefixed(prefix))
      let checkpoint = try Checkpoint(path: path)
      #expect(checkpoint.family.name == golden.family, "\(prefix)")
      #expect(
        Set(checkpoint.names(of: golden.network)) == Set(golden.diffusers.keys).union(golden.unmapped), "\(prefix)")
      for (name, expected) in golden.diffusers {
        let tensor = try checkpoint.weight(named: WeightName(golden.network, name), shape: Shape(expected.shape))
        #expect(NameGolden.checksum(tensor.doubles()) == expected.checksum, "\(prefix)\(name)")
      }
      try expectFlatNames(of: golden, in: checkpoint)
    }
  }

  @Test(arguments: NameGolden.all) func diffusersLayout(golden: NameGolden) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("model.safetensors")
    try writeAdapter(to: path, tensors: try diffusersTensors(of: golden, in: folder))
    let checkpoint = try Checkpoint(path: path)
    #expect(checkpoint.family.name == golden.family)
    guard golden.network == .denoiser || golden.network == .vae else { return }
    #expect(Set(checkpoint.names(of: golden.network)) == Set(golden.diffusers.keys))
    try expectFlatNames(of: golden, in: checkpoint)
  }

  /// A text encoder tells which one it is only by its folder.
  @Test(arguments: NameGolden.all.filter { $0.network.isTextEncoder })
  func textEncoderInItsFolder(golden: NameGolden) throws {
    let folder = try TemporaryFolder()
    let name = ["textEncoder2": "text_encoder_2", "textEncoder3": "text_encoder_3"][golden.component] ?? "text_encoder"
    try folder.makeFolder("pipeline/\(name)")
    try writeAdapter(
      to: folder.file("pipeline/\(name)/model.safetensors"), tensors: try diffusersTensors(of: golden, in: folder))
    try expectFlatNames(of: golden, in: try Checkpoint(path: folder.file("pipeline")))
  }

  /// The tensors as diffusers stores them, read from a file in the authors' layout.
  private func diffusersTensors(of golden: NameGolden, in folder: TemporaryFolder) throws -> [NamedValues] {
    let path = folder.file("original.safetensors")
    try writeAdapter(to: path, tensors: golden.originalTensors.prefixed(golden.prefixes.last!))
    let checkpoint = try Checkpoint(path: path)
    return try golden.diffusers.map { name, expected in
      let tensor = try checkpoint.weight(named: WeightName(golden.network, name), shape: Shape(expected.shape))
      #expect(NameGolden.checksum(tensor.doubles()) == expected.checksum)
      return (name, expected.shape, .f32, tensor.doubles())
    }
  }

  /// Expects the weights under the names of both dialects, with underscores for dots.
  private func expectFlatNames(of golden: NameGolden, in checkpoint: Checkpoint) throws {
    for (name, expected) in golden.diffusers {
      let weight = checkpoint.weight(flatName: name.replacing(".", with: "_"), in: golden.network)
      let found = try #require(weight, "\(name)")
      #expect(NameGolden.checksum(checkpoint.values(of: found)) == expected.checksum, "\(name)")
    }
    for tensor in golden.originalTensors where !golden.unmapped.contains(tensor.name) {
      let weight = checkpoint.weight(flatName: tensor.name.replacing(".", with: "_"), in: golden.network)
      let found = try #require(weight, "\(tensor.name)")
      #expect(checkpoint.values(of: found) == tensor.values, "\(tensor.name)")
    }
  }

  /// Adapters for HunyuanVideo come in three dialects, whichever the base has.
  @Test(arguments: ["hunyuan-video", "hunyuan-video-repacked"])
  func allDialectsOfHunyuanVideo(stored: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("model.safetensors")
    try writeAdapter(to: path, tensors: NameGolden.named(stored).originalTensors)
    let checkpoint = try Checkpoint(path: path)
    for golden in [NameGolden.named("hunyuan-video"), NameGolden.named("hunyuan-video-repacked")] {
      for (name, shape) in golden.original {
        let weight = checkpoint.weight(flatName: name.replacing(".", with: "_"), in: .denoiser)
        #expect(weight?.shape == Shape(shape), "\(name)")
      }
    }
  }

  @Test func everyFamilyWithAMapHasAGolden() {
    for family in Family.all where family != .languageModel && family != .unknown {
      #expect(NameGolden.all.contains { $0.family == family.name }, "\(family)")
    }
  }
}
