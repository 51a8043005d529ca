import Foundation
import TestSupport
import Testing

/// `lathe metadata get`, `set` and `strip`.
@Suite struct MetadataCommandTests {
  @Test("Values are read, set and stripped")
  func round() throws {
    let folder = try TemporaryFolder(), path = try Fixture.adapter(in: folder), output = folder.file("b.safetensors")
    #expect(try Tool.run(["metadata", "get", path, "ss_network_dim"]).output == "4\n")
    let missing = try Tool.run(["metadata", "get", path, "none"])
    #expect(missing.status == 65 && missing.errors.contains("none: expected an entry of this name"))
    let set = try Tool.run(["metadata", "set", path, "title=a = b", "ss_network_dim=5", "-o", output, "--json"])
    #expect(set.status == 0 && set.json["schema"] as? String == "lathe.metadata/1")
    #expect(
      (set.json["changes"] as? [[String: Any]])?.compactMap { $0["key"] as? String } == ["ss_network_dim", "title"])
    let all = try Tool.run(["metadata", "get", output, "--json"]).json["metadata"] as? [String: String]
    #expect(all?["title"] == "a = b" && all?["ss_network_dim"] == "5" && all?.count == 5)
    let data = try AdapterTensors(path: path).all.map { $0.tensor.doubles() }
    #expect(try AdapterTensors(path: output).all.map { $0.tensor.doubles() } == data)
    let strip = try Tool.run(["metadata", "strip", output, "title", "gone", "--force"])
    #expect(strip.status == 2 && strip.output.contains("not there gone") && strip.output.contains("removed   title"))
    #expect(try Tool.run(["metadata", "get", output, "title"]).status == 65)
    #expect(try folder.names == ["b.safetensors", "style.safetensors"])
  }

  @Test("In place only by --force, and not at all in a dry run")
  func place() throws {
    let folder = try TemporaryFolder(), path = try Fixture.adapter(in: folder),
      before = try folder.bytes(of: "style.safetensors")
    #expect(try Tool.run(["metadata", "set", path, "a=b"]).status == 64)
    #expect(try Tool.run(["metadata", "set", path, "a"]).status == 64)
    #expect(try Tool.run(["metadata", "strip", path, "--force"]).status == 64)
    #expect(try Tool.run(["metadata", "set", path, "a=b", "-o", path]).status == 73)
    #expect(try Tool.run(["metadata", "set", path, "a=b", "--dry-run"]).status == 0)
    #expect(try folder.bytes(of: "style.safetensors") == before)
    #expect(try Tool.run(["metadata", "strip", path, "--private", "--force"]).status == 0)
    let tags = try Tool.run(["metadata", "get", path, "ss_tag_frequency"]).output
    #expect(tags == #"{"dataset-1":{"blue hair":3,"smile":9}}"# + "\n")
  }

  @Test("A stale hash is a warning")
  func stale() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try writeAdapter(to: path, tensors: [filler("x", [4, 4])], metadata: [("sshs_model_hash", "00")])
    let run = try Tool.run(["metadata", "get", path])
    #expect(run.status == 0 && run.errors.contains("sshs_model_hash: expected "))
    #expect(try Tool.run(["metadata", "set", path, "a=b", "--force"]).status == 0)
    #expect(try Tool.run(["metadata", "get", path]).errors.isEmpty)
  }
}
