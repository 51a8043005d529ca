import Files
import GGUF
import Models
import Safetensors
import Tensors
import TestSupport
import Testing
import TorchPickles

@testable import Checkpoints

/// Proves that a checkpoint is the same whatever its container: names, family, shapes and bits.
@Suite struct ContainerTests {
  private func open(_ name: String) throws -> Checkpoint { try Checkpoint(path: Goldens.path("checkpoints/\(name)")) }

  private func expectSame(_ found: Checkpoint, _ expected: Checkpoint) throws {
    #expect(found.family == expected.family)
    #expect(Set(found.weights.map(\.entry.name)) == Set(expected.weights.map(\.entry.name)))
    for weight in found.weights {
      let other = try #require(expected.weights.first { $0.entry.name == weight.entry.name })
      #expect(weight.component == other.component && weight.name == other.name)
      #expect(weight.entry.dtype == other.entry.dtype && weight.entry.shape == other.entry.shape, "\(weight.name)")
      #expect(bytes(found.tensor(weight)) == bytes(expected.tensor(other)), "\(weight.name)")
    }
  }

  private func bytes(_ tensor: Tensor) -> [UInt8] { tensor.bytes.withUnsafeBytes(Array.init) }

  @Test("pickles of every form", arguments: ["zip.ckpt", "legacy.ckpt", "deflated.ckpt", "bare.pth"])
  func pickles(name: String) throws {
    let checkpoint = try open(name)
    #expect(checkpoint.family == .sd1 && !checkpoint.isFolder)
    #expect(checkpoint.files[0].contents.kind == "a torch pickle" && checkpoint.files[0].contents.safetensors == nil)
    #expect(checkpoint.weights(of: .textEncoder1).count == 2)
    try expectSame(checkpoint, open("model.safetensors"))
  }

  @Test("GGUF, quantised tensors as what they stand for") func gguf() throws {
    let checkpoint = try open("mixed.gguf"), file = checkpoint.files[0].contents
    #expect(checkpoint.family == .sd1 && file.kind == "a GGUF file")
    #expect(file.entries.filter(file.isCopied).isEmpty)
    #expect(file.metadata.map(\.key) == ["general.architecture", "general.name"])
    try expectSame(checkpoint, open("mixed.safetensors"))
  }

  @Test("a folder of .bin files, with shards") func folder() throws {
    let checkpoint = try open("folder"),
      file = try SafetensorsFile(path: Goldens.path("checkpoints/folder.safetensors"))
    #expect(
      checkpoint.files.map(\.relativePath) == [
        "unet/diffusion_pytorch_model.bin", "text_encoder/pytorch_model-00001-of-00002.bin",
        "text_encoder/pytorch_model-00002-of-00002.bin",
      ])
    #expect(checkpoint.companions.contains("text_encoder/pytorch_model.bin.index.json"))
    #expect(checkpoint.duplicates.isEmpty && checkpoint.warnings.isEmpty)
    #expect(checkpoint.family == .sd1 && checkpoint.weights.count == file.entries.count)
    for weight in checkpoint.weights {
      let folder = checkpoint.files[weight.file].relativePath.split(separator: "/")[0]
      #expect(bytes(checkpoint.tensor(weight)) == bytes(try #require(file["\(folder)/\(weight.entry.name)"])))
    }
  }

  @Test("safetensors are preferred where a folder has both") func preference() throws {
    let folder = try TemporaryFolder()
    let pickle = try MappedFile(path: Goldens.path("checkpoints/bare.pth")).bytes.withUnsafeBytes(Array.init)
    try folder.write(pickle, to: "pytorch_model.bin")
    #expect(try Checkpoint(path: folder.path).files.map(\.relativePath) == ["pytorch_model.bin"])
    try folder.writeTensors(["a.weight"], to: "model.safetensors")
    let both = try Checkpoint(path: folder.path)
    #expect(both.files.map(\.relativePath) == ["model.safetensors"] && both.duplicates == ["pytorch_model.bin"])
  }

  @Test("one shard of several is no checkpoint") func shard() throws {
    let path = Goldens.path("checkpoints/folder/text_encoder/pytorch_model-00001-of-00002.bin")
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: path) }
    #expect(error?.kind == .shard)
    #expect(
      try Checkpoint(path: Goldens.path("checkpoints/folder/text_encoder/pytorch_model.bin.index.json")).files.count
        == 2)
  }

  @Test("a list of tensors has no names to be a checkpoint with") func list() throws {
    let error = #expect(throws: CheckpointError.self) {
      try Checkpoint(path: Goldens.path("dialects/cloneofsimo_list.pt"))
    }
    #expect(error?.kind == .notACheckpoint(reason: "found a list of tensors without names"))
  }

  @Test(
    "a language model of llama.cpp whose names are not known, or whose rows have another order, is refused, and why is said",
    arguments: [("t5", "whose names are not known; known are qwen2, "), ("llama", "rows of queries and keys")])
  func otherLlama(architecture: String, reason: String) throws {
    let folder = try TemporaryFolder(), path = try folder.write(llama(architecture).bytes, to: "base.gguf")
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: path) }
    #expect(error?.description.contains("llama.cpp's names for the architecture \(architecture), ") == true)
    #expect(error?.description.contains(reason) == true, "\(error as Any)")
  }

  @Test("a language model of llama.cpp has its model's own names") func llama() throws {
    let folder = try TemporaryFolder(), path = try folder.write(llama("qwen3").bytes, to: "base.gguf")
    let base = try Checkpoint(path: path)
    #expect(base.family == .languageModel)
    #expect(base.weights.map(\.name) == ["model.layers.0.self_attn.q_proj.weight", "blk.0.attn_norm.weight"])
    #expect(base.weights.map(\.component) == [.denoiser, .other])
    #expect(base.weights.map(\.entry.name) == ["blk.0.attn_q.weight", "blk.0.attn_norm.weight"])
  }

  private func llama(_ architecture: String) -> RawGGUF {
    var raw = RawGGUF()
    raw.fields = [("general.architecture", RawGGUF.little(UInt32(8)) + RawGGUF.text(architecture))]
    raw.listings = [
      .init("blk.0.attn_q.weight", [1, 1], bytes: [0, 0, 0, 0]),
      .init("blk.0.attn_norm.weight", [1], bytes: [0, 0, 0, 0]),
    ]
    return raw
  }

  @Test("the first bytes tell the container, whatever the name") func otherNames() throws {
    let folder = try TemporaryFolder()
    for name in ["mixed.gguf", "zip.ckpt", "model.safetensors"] {
      let bytes = try MappedFile(path: Goldens.path("checkpoints/\(name)")).bytes.withUnsafeBytes(Array.init)
      #expect(try Checkpoint(path: folder.write(bytes, to: "base.dat")).family == .sd1)
    }
  }
}
