import Models
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct CheckpointOpeningTests {
  private let folder: TemporaryFolder
  private let first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors"

  init() throws { folder = try TemporaryFolder() }

  private func writeShards() throws {
    try folder.writeTensors(["a.weight"], to: first)
    try folder.writeTensors(["b.weight"], to: second)
    try folder.writeIndex(["a.weight": first, "b.weight": second])
  }

  private func expectRefusal(of path: String? = nil, _ kind: CheckpointError.Kind) {
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: path ?? folder.path) }
    #expect(error?.kind == kind)
  }

  // MARK: Memory

  @Test func memory() throws {
    func tensor(_ shape: Shape) -> Tensor {
      Tensor([Double](repeating: 1, count: shape.elementCount), shape: shape, dtype: .f16)
    }
    let name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    let text = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    let tensors: [(name: String, tensor: Tensor)] = [
      ("model.diffusion_model.input_blocks.0.0.weight", tensor([4, 4, 3, 3])),
      (name, tensor([2, 2048])), (text, tensor([2, 2])),
    ]
    let checkpoint = try Checkpoint(tensors: tensors, title: "mine")
    #expect(checkpoint.path == "mine" && checkpoint.family == .sdxl && !checkpoint.isFolder)
    #expect(checkpoint.weights(of: .textEncoder1).count == 1)
    let weight = try #require(
      checkpoint.weight(
        named: WeightName(.denoiser, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight")))
    #expect(checkpoint.tensor(checkpoint.weights[weight.pieces[0].stored]).doubles() == tensors[1].tensor.doubles())
    #expect(try checkpoint.configuration("config.json") == nil)
    let twice = #expect(throws: SafetensorsError.self) {
      try Checkpoint(tensors: tensors + [tensors[0]], title: "mine")
    }
    #expect(twice?.description.hasPrefix("mine: ") == true)
    #expect(throws: CheckpointError.self) { try Checkpoint(tensors: []) }
  }

  // MARK: Shards

  @Test func shards() throws {
    try writeShards()
    for path in [folder.path, folder.file("model.safetensors.index.json")] {
      let checkpoint = try Checkpoint(path: path)
      #expect(checkpoint.isFolder)
      #expect(checkpoint.files.map(\.relativePath) == [first, second])
      #expect(checkpoint.weights.map(\.name) == ["a.weight", "b.weight"])
      #expect(checkpoint.warnings.isEmpty)
      #expect(checkpoint.companions == ["model.safetensors.index.json"])
    }
  }

  /// What tells the networks apart may lie in another shard.
  @Test func prefixesAcrossShards() throws {
    try folder.writeTensors(["model.double_layers.0.attn.w1q.weight"], to: first)
    try folder.writeTensors(["model.final_linear.weight"], to: second)
    try folder.writeIndex([
      "model.double_layers.0.attn.w1q.weight": first, "model.final_linear.weight": second,
    ])
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(checkpoint.family == .auraFlow)
    #expect(checkpoint.weight(flatName: "proj_out_weight", in: .denoiser) != nil)
  }

  @Test func missingShard() throws {
    try writeShards()
    try folder.remove(second)
    expectRefusal(.missingShard(second))
  }

  @Test func truncatedShard() throws {
    try writeShards()
    try folder.write(Array(try folder.bytes(of: second).dropLast(3)), to: second)
    #expect(throws: SafetensorsError.self) { try Checkpoint(path: folder.path) }
  }

  @Test(arguments: ["../outside.safetensors", "inside/../../outside.safetensors", "/outside.safetensors"])
  func shardOutside(name: String) throws {
    try folder.writeIndex(["a.weight": name])
    expectRefusal(of: folder.file("model.safetensors.index.json"), .outsideFolder(name))
    expectRefusal(.outsideFolder(name))
  }

  @Test func linkOutside() throws {
    try folder.makeFolder("model")
    try folder.writeTensors(["a.weight"], to: "outside.safetensors")
    try folder.link("model/shard.safetensors", to: "../outside.safetensors")
    try folder.writeIndex(["a.weight": "shard.safetensors"], to: "model/model.safetensors.index.json")
    expectRefusal(of: folder.file("model"), .outsideFolder("shard.safetensors"))
    expectRefusal(of: folder.file("model/model.safetensors.index.json"), .outsideFolder("shard.safetensors"))
  }

  @Test func missingTensor() throws {
    try writeShards()
    try folder.writeIndex(["a.weight": first, "b.weight": second, "c.weight": second])
    expectRefusal(.missingTensor(name: "c.weight", shard: second, elsewhere: nil))
    try folder.writeIndex(["a.weight": second, "b.weight": second, "c.weight": first])
    expectRefusal(.missingTensor(name: "a.weight", shard: second, elsewhere: first))
  }

  /// Loaders differ in which of two copies they take.
  @Test(arguments: [true, false]) func tensorInTwoShards(isIndexed: Bool) throws {
    try writeShards()
    try folder.writeTensors(["a.weight", "b.weight"], to: second)
    try folder.writeIndex(
      isIndexed ? ["a.weight": first, "b.weight": second] : ["b.weight": second, "c.weight": first])
    try folder.writeTensors(["a.weight", "c.weight"], to: first)
    expectRefusal(
      .twice(name: "a.weight", shard: first, other: second, indexed: isIndexed ? first : nil))
  }

  @Test(arguments: ["./", ".//", "././"]) func otherSpellingsOfShards(prefix: String) throws {
    try writeShards()
    try folder.writeIndex(["a.weight": prefix + first, "b.weight": second])
    #expect(try Checkpoint(path: folder.path).files.map(\.relativePath) == [first, second])
    try folder.writeIndex(["a.weight": first + "\\u0000", "b.weight": second])
    expectRefusal(.index(reason: "a.weight: expected a file's name"))
  }

  @Test func extraTensors() throws {
    try writeShards()
    try folder.writeTensors(["b.weight", "c.weight", "d.weight"], to: second)
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(checkpoint.warnings.count == 1)
    #expect(checkpoint.warnings.first?.contains("c.weight and 1 more") == true)
    #expect(checkpoint.weights.count == 4)
    // No loader makes a part of the model of them, so nothing may change them.
    #expect(checkpoint.weights.map(\.component) == [.denoiser, .denoiser, .other, .other])
    #expect(checkpoint.weight(flatName: "c_weight", in: .denoiser) == nil)
    let reason = checkpoint.absence(flatNames: ["c_weight"], in: .denoiser)
    #expect(reason.contains(second) && reason.contains("its index does not name it"))
  }

  /// A single file that holds one weight under two names.
  @Test func oneWeightTwice() throws {
    try folder.writeTensors(["diffusion_model.a.weight", "model.diffusion_model.a.weight"], to: "x.safetensors")
    expectRefusal(
      of: folder.file("x.safetensors"),
      .sameWeight(name: "model.diffusion_model.a.weight", other: "diffusion_model.a.weight"))
  }

  @Test func indexOfWrongForm() throws {
    try folder.write("{\"metadata\": {}}", to: "model.safetensors.index.json")
    expectRefusal(.index(reason: "expected a weight_map, found none"))
    try folder.write("{\"weight_map\": {}}", to: "model.safetensors.index.json")
    expectRefusal(.index(reason: "found no shards in it"))
    try folder.write("{\"weight_map\": {\"a\": 1}}", to: "model.safetensors.index.json")
    expectRefusal(.index(reason: "a: expected a file's name"))
    try folder.write("not JSON", to: "model.safetensors.index.json")
    expectRefusal(.configuration(file: "content", reason: "expected a JSON object"))
  }

  @Test func loneShard() throws {
    try writeShards()
    expectRefusal(of: folder.file(first), .shard)
    // Not every number in a name is a shard's.
    try folder.writeTensors(["a.weight"], to: "model-00001-of-00001.safetensors")
    #expect(try Checkpoint(path: folder.file("model-00001-of-00001.safetensors")).weights.count == 1)
  }

  // MARK: Folders

  @Test func variantsAreDuplicates() throws {
    try folder.makeFolder("unet")
    let name = "unet/diffusion_pytorch_model"
    try folder.writeTensors(["conv_in.weight"], to: "\(name).fp16.safetensors")
    #expect(try Checkpoint(path: folder.path).files.map(\.relativePath) == ["\(name).fp16.safetensors"])
    try folder.writeTensors(["conv_in.weight"], to: "\(name).safetensors")
    try folder.write("old", to: "\(name).bin")
    try folder.write("{}", to: "model_index.json")
    try folder.write("{}", to: "unet/config.json")
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(checkpoint.files.map(\.relativePath) == ["\(name).safetensors"])
    #expect(checkpoint.duplicates == ["\(name).bin", "\(name).fp16.safetensors"])
    #expect(checkpoint.companions == ["model_index.json", "unet/config.json"])
  }

  @Test func pipeline() throws {
    for name in ["transformer", "transformer_2", "text_encoder", "vae", "scheduler"] { try folder.makeFolder(name) }
    try folder.write("{\"_class_name\": \"WanTransformer3DModel\"}", to: "transformer/config.json")
    for name in ["transformer", "transformer_2", "vae"] {
      try folder.writeTensors(["proj_out.weight"], to: "\(name)/diffusion_pytorch_model.safetensors")
    }
    try folder.writeTensors(["shared.weight"], to: "text_encoder/model.safetensors")
    let checkpoint = try Checkpoint(path: folder.path + "/")
    #expect(checkpoint.family == .wan)
    #expect(Set(checkpoint.weights.map(\.component)) == [.denoiser, .denoiser2, .textEncoder1, .vae])
    #expect(checkpoint.weight(flatName: "head_head_weight", in: .denoiser2)?.pieces.first?.stored == 1)
  }

  @Test func hubCache() throws {
    try folder.makeFolder("models--a--b/blobs")
    try folder.makeFolder("models--a--b/snapshots/main/unet")
    try folder.writeTensors(["conv_in.weight"], to: "models--a--b/blobs/0123")
    try folder.link(
      "models--a--b/snapshots/main/unet/diffusion_pytorch_model.safetensors", to: "../../../blobs/0123")
    #expect(try Checkpoint(path: folder.file("models--a--b/snapshots/main")).weights.count == 1)
    // The way out of the blobs' folder is shut.
    try folder.writeTensors(["conv_in.weight"], to: "models--a--b/secret")
    try folder.link("models--a--b/snapshots/main/unet/other.safetensors", to: "../../../secret")
    expectRefusal(of: folder.file("models--a--b/snapshots/main"), .outsideFolder("unet/other.safetensors"))
  }

  @Test func foldersWithoutWeights() throws {
    let expected = "found a folder without diffusion_pytorch_model.safetensors or model.safetensors"
    expectRefusal(.notACheckpoint(reason: expected))
    try folder.write("old", to: "sd-v1-4.ckpt")
    expectRefusal(
      .notACheckpoint(
        reason: "found weights only under names that loaders do not look for; hint: give the file itself"))
  }

  // MARK: Number formats

  @Test(arguments: [
    "comfy_quant", "weight_scale", "weight.quant_map", "SCB", "qweight", "wscales",
  ])
  func quantised(suffix: String) throws {
    try folder.writeTensors(["a.weight", "a.\(suffix)"], to: "model.safetensors")
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: folder.file("model.safetensors")) }
    guard case .quantised(let tensor, _)? = error?.kind else {
      Issue.record("\(error?.description ?? "no error")")
      return
    }
    #expect(tensor == "a.\(suffix)")
  }

  /// What is not known to leave an 8-bit weight as it is may say what its numbers mean.
  @Test(arguments: [
    "a.weight_scales", "a.scale", "a.weight_zero_point", "a.weight.absmax",
    "a.weight_quantizer._amax",
    "a.anything",
  ])
  func unknownBesideCoarseWeight(side: String) throws {
    let path = folder.file("model.safetensors")
    func refusal(_ dtype: DType) throws -> CheckpointError.Kind? {
      try writeAdapter(
        to: path,
        tensors: [("a.weight", [2, 2], dtype, [1, 2, 3, 4]), (side, [], .f32, [0.5]), filler("a.bias", [2])])
      do throws(CheckpointError) { _ = try open(path) } catch { return error.kind }
      return nil
    }
    for dtype in [DType.f8e4m3, .f8e5m2, .i8, .u8] {
      #expect(try refusal(dtype) == .scaled(weight: "a.weight", dtype: dtype.rawValue, side: side))
    }
    #expect(try refusal(.f16) == nil)
  }

  private func open(_ path: String) throws(CheckpointError) -> Checkpoint {
    do { return try Checkpoint(path: path) } catch let error as CheckpointError { throw error } catch {
      throw CheckpointError(.notACheckpoint(reason: "\(error)"), path: path)
    }
  }

  @Test(arguments: [
    "a.bias", "a.input_scale", "a.scale_weight", "a.running_mean", "a.q_proj_bias", "a.child.weight", "b.scale",
    "scale",
  ])
  func knownBesideCoarseWeight(side: String) throws {
    let path = folder.file("model.safetensors")
    try writeAdapter(to: path, tensors: [("a.weight", [2, 2], .f8e4m3, [1, 2, 3, 4]), (side, [], .f32, [0.5])])
    #expect(try Checkpoint(path: path).weights.count == 2)
  }

  @Test func quantisedConfiguration() throws {
    try folder.writeTensors(["a.weight"], to: "model.safetensors")
    try folder.write(#"{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}"#, to: "config.json")
    expectRefusal(.quantisedConfiguration(file: "config.json", method: "quant_method gptq"))
    try folder.write(#"{"model_type": "llama", "quantization_config": null}"#, to: "config.json")
    #expect(try Checkpoint(path: folder.path).weights.count == 1)
  }

  @Test func scaledWeight() throws {
    let path = folder.file("model.safetensors")
    try writeAdapter(
      to: path,
      tensors: [
        ("a.weight", [2, 2], .f8e4m3, [1, 2, 3, 4]), ("a.scale_weight", [], .f32, [0.5]),
        ("b.weight", [2, 2], .f16, [1, 2, 3, 4]), ("b.scale_weight", [], .f32, [0.5]),
      ])
    let checkpoint = try Checkpoint(path: path)
    let scales = checkpoint.weights.map { weight in
      weight.quantisation?.scale.map { checkpoint.weights[$0].name }
    }
    #expect(
      Dictionary(uniqueKeysWithValues: zip(checkpoint.weights.map(\.name), scales)).compactMapValues { $0 }
        == ["a.weight": "a.scale_weight"])
    // Engines get the numbers that the stored ones stand for.
    #expect(
      try checkpoint.weight(named: WeightName(.denoiser, "a.weight"), shape: [2, 2]).doubles() == [0.5, 1, 1.5, 2])
    #expect(try checkpoint.weight(named: WeightName(.denoiser, "b.weight"), shape: [2, 2]).doubles() == [1, 2, 3, 4])
  }

  // MARK: Reading

  @Test func wrongNameAndShape() throws {
    try folder.writeTensors(["a.weight"], to: "model.safetensors")
    let checkpoint = try Checkpoint(path: folder.file("model.safetensors"))
    let unknown = #expect(throws: CheckpointError.self) {
      try checkpoint.weight(named: WeightName(.denoiser, "b.weight"), shape: [2, 2])
    }
    #expect(unknown?.kind == .unknownWeight("denoiser.b.weight"))
    let shape = #expect(throws: CheckpointError.self) {
      try checkpoint.weight(named: WeightName(.denoiser, "a.weight"), shape: [2, 3])
    }
    #expect(
      shape?.kind == .weightShape(name: "denoiser.a.weight", expected: "[2, 3]", found: "[2, 2]"))
    #expect(
      try checkpoint.weight(named: WeightName(.denoiser, "a.weight"), shape: [2, 2, 1, 1]).shape == [2, 2, 1, 1])
  }
}
