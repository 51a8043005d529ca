import Files
import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Metadata

/// Proves that an edit changes what it was asked to change, and no bit of a tensor.
@Suite struct MetadataEditTests {
  private func file(
    _ folder: TemporaryFolder, _ metadata: [(key: String, value: String)], isCanonical: Bool = true
  ) throws -> String {
    let path = folder.file("a.safetensors")
    var random = SplitMix64(seed: 3)
    let tensors = [("b", DType.f16), ("a", .f32), ("c", .f16)].map { name, dtype in
      (name, Tensor(random.gaussians(600_000), shape: [600, 1000], dtype: dtype))
    }
    let items = tensors.map { SafetensorsLayout.Item(name: $0.0, dtype: $0.1.dtype, shape: $0.1.shape) }
    let layout =
      isCanonical ? SafetensorsLayout(items, metadata: metadata) : SafetensorsLayout(inOrder: items, metadata: metadata)
    let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: true)
    for (name, tensor) in tensors { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
    try writer.seal()
    try writer.commit()
    return path
  }

  private func data(_ path: String) throws -> [UInt8] {
    try SafetensorsFile(path: path).data.withUnsafeBytes(Array.init)
  }

  private func value(_ key: String, _ path: String) throws -> String? {
    try SafetensorsFile(path: path).metadata.last { $0.key == key }?.value
  }

  @Test("Entries are set and stripped, and the data keeps its order and bytes", arguments: [true, false])
  func edit(isCanonical: Bool) throws {
    let folder = try TemporaryFolder(), path = try file(folder, [("x", "1"), ("y", "2")], isCanonical: isCanonical)
    let before = try data(path), names = try SafetensorsFile(path: path).entries.map(\.name)
    let edit = try MetadataEdit([.set([("x", "3"), ("z", "\"ü\"\n")]), .strip(["y", "none"])], of: path)
    #expect(edit.missing == ["none"])
    #expect(edit.differences.map(\.key) == ["x", "y", "z"])
    try edit.write(to: folder.file("b.safetensors"), overwriting: false)
    #expect(try data(folder.file("b.safetensors")) == before)
    #expect(try SafetensorsFile(path: folder.file("b.safetensors")).entries.map(\.name) == names)
    #expect(try SafetensorsFile(path: folder.file("b.safetensors")).metadata.map(\.key) == ["x", "z"])
    #expect(try value("z", folder.file("b.safetensors")) == "\"ü\"\n")
    #expect(try folder.bytes(of: "b.safetensors").count == edit.byteCount)
    #expect(throws: FileError.self) { try edit.write(to: folder.file("b.safetensors"), overwriting: false) }
    try edit.write(to: path, overwriting: true)
    #expect(try folder.names == ["a.safetensors", "b.safetensors"])
    #expect(try data(path) == before)
  }

  @Test("Hashes are right after every change, whatever they were", arguments: [true, false])
  func hashes(isCanonical: Bool) throws {
    let folder = try TemporaryFolder()
    let path = try file(
      folder,
      [("sshs_model_hash", "0xbad"), ("sshs_legacy_hash", "bad"), ("modelspec.hash_sha256", "0xbad"), ("ss_a", "b")],
      isCanonical: isCanonical)
    #expect(try MetadataEdit([], of: path).hashes.allSatisfy { !$0.matches })
    try MetadataEdit([.set([("ss_a", "longer")])], of: path).write(to: path, overwriting: true)
    let file = try SafetensorsFile(path: path)
    #expect(MetadataHashes(of: file).entries(for: file.metadata).map(\.matches) == [true, true, true])
    // The definitions, by a file in the canonical order that has only the training's metadata.
    let tensors = file.entries.map { ($0.name, file.tensor($0)) }
    try writeTensors(tensors, metadata: [("ss_a", "longer")], to: folder.file("c.safetensors"))
    let whole = try folder.bytes(of: "c.safetensors"), canonical = try data(folder.file("c.safetensors"))
    #expect(try value("sshs_model_hash", path) == "0x" + ContentHash.sha256(Bytes(copying: canonical)))
    #expect(
      try value("sshs_legacy_hash", path)
        == String(ContentHash.sha256(Bytes(copying: Array(whole[0x100000..<0x110000]))).prefix(8)))
    #expect(try value("modelspec.hash_sha256", path) == "0x" + ContentHash.sha256(file.data))
  }

  @Test("What is private goes, and the rest stays")
  func privacy() throws {
    let folder = try TemporaryFolder()
    let path = try file(
      folder,
      [
        ("ss_dataset_dirs", #"{"/home/jane/10_me":{}}"#), ("ss_training_comment", "for Bob"), ("ss_session_id", "77"),
        ("ss_tag_frequency", #"{"10_jane doe":{"hat":3},"20_b":{"cat":1}}"#),
        ("ss_sd_model_name", #"C:\Users\jane\models\base.safetensors"#), ("ss_vae_name", "/mnt/x/vae.pt"),
        ("ss_network_args", #"{"a": "/data/jane/x y/list.txt", "b": "1/2"}"#), ("hostname", "janes-box"),
        ("url", "https://example.org/a/b"), ("ss_learning_rate", "1e-4"), ("home", "~/secret/file.txt"),
        ("share", #"\\server\jane\a.toml"#),
      ])
    let edit = try MetadataEdit([.stripPrivate], of: path)
    try edit.write(to: path, overwriting: true)
    let metadata = Dictionary(
      uniqueKeysWithValues: try SafetensorsFile(path: path).metadata.map { ($0.key, $0.value) })
    #expect(
      metadata == [
        "ss_tag_frequency": #"{"dataset-1":{"hat":3},"dataset-2":{"cat":1}}"#, "ss_sd_model_name": "base.safetensors",
        "ss_vae_name": "vae.pt", "ss_network_args": #"{"a": "list.txt", "b": "1/2"}"#, "url": "https://example.org/a/b",
        "ss_learning_rate": "1e-4", "home": "file.txt", "share": "a.toml",
      ])
    #expect(!metadata.values.contains { $0.contains("jane") })
    #expect(
      edit.differences.filter { $0.after == nil }.map(\.key) == [
        "hostname", "ss_dataset_dirs", "ss_session_id", "ss_training_comment",
      ])
  }
}
