import Foundation
import TestSupport
import Testing

/// `lathe convert`, `metadata` and `inspect --loaders` the way a person or a script runs them.
@Suite struct ConvertCommandTests {
  @Test("The report says what became of every target")
  func json() throws {
    let folder = try TemporaryFolder(), adapter = try Fixture.adapter(in: folder), output = folder.file("b.safetensors")
    let run = try Tool.run(["convert", adapter, "-o", output, "--to", "diffusers", "--json"])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(run.json["schema"] as? String == "lathe.convert/1")
    #expect(run.json["output"] as? String == output)
    let size = try folder.bytes(of: "b.safetensors").count
    #expect(run.json["bytes"] as? Int == size)
    let targets = try #require(run.json["targets"] as? [[String: Any]])
    #expect(targets.count == 3)
    #expect(targets.allSatisfy { $0["exact"] as? Bool == true && $0["relative_error"] as? Double == 0 })
    #expect(
      targets.contains {
        $0["name"] as? String == "lora_unet_down_blocks_0_resnets_0_conv1"
          && $0["new_name"] as? String == "unet.down_blocks.0.resnets.0.conv1"
      })
    #expect((run.json["split_out"] as? [String])?.isEmpty == true)
    let compared = try Tool.run(["compare", adapter, output, "--json"])
    #expect(try #require(compared.json["relative_error"] as? Double) < 1e-12)
  }

  @Test("A bake of the converted adapter has the same bytes", arguments: ["diffusers", "peft"])
  func bake(dialect: String) throws {
    let folder = try TemporaryFolder(), adapter = try Fixture.adapter(in: folder), base = try Fixture.base(in: folder)
    let output = folder.file(dialect == "peft" ? "b" : "b.safetensors")
    #expect(try Tool.run(["convert", adapter, "-o", output, "--to", dialect]).status == 0)
    for (source, name) in [(adapter, "one.safetensors"), (output, "two.safetensors")] {
      #expect(try Tool.run(["bake", base, source, "-o", folder.file(name), "--dtype", "f32"]).status == 0)
    }
    let pairs = try ["one.safetensors", "two.safetensors"].map { try AdapterTensors(path: folder.file($0)).all }
    for (one, two) in zip(pairs[0], pairs[1]) { #expect(one.tensor.doubles() == two.tensor.doubles(), "\(one.name)") }
  }

  @Test("Nothing is written by a dry run, and nothing is overwritten unasked")
  func force() throws {
    let folder = try TemporaryFolder(), adapter = try Fixture.adapter(in: folder), output = folder.file("b.safetensors")
    #expect(try Tool.run(["convert", adapter, "-o", output, "--to", "kohya", "--dry-run"]).status == 0)
    #expect(try folder.names == ["style.safetensors"])
    try folder.write([1], to: "b.safetensors")
    let run = try Tool.run(["convert", adapter, "-o", output, "--to", "kohya"])
    #expect(run.status == 73 && run.errors.contains("exists already; hint: --force overwrites it"))
    #expect(try folder.bytes(of: "b.safetensors") == [1])
    #expect(try Tool.run(["convert", adapter, "-o", output, "--normalise", "--force"]).status == 0)
  }

  @Test("What has no name is refused, or left out with exit code 2")
  func unmatched() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try writeAdapter(
      to: path,
      tensors: ["lora_unet_mid_block_attentions_0_proj_in", "lora_unet_brand_new"].flatMap { name -> [NamedValues] in
        [filler(name + ".lora_up.weight", [8, 2]), filler(name + ".lora_down.weight", [2, 8])]
      })
    let arguments = ["convert", path, "-o", folder.file("b.safetensors"), "--to", "diffusers"]
    let refused = try Tool.run(arguments)
    #expect(refused.status == 65 && refused.errors.contains("lora_unet_brand_new: name: expected"))
    let run = try Tool.run(arguments + ["--allow-unmatched"])
    #expect(run.status == 2 && run.output.contains("lora_unet_brand_new: no name in the diffusers dialect"))
    #expect(try Tool.run(["convert", path, "-o", folder.file("c.safetensors")]).status == 64)
  }

  @Test("One line says why nothing was written", arguments: ConvertCommandTests.refusals)
  func refusal(_ arguments: [String], status: Int32, message: String) throws {
    let folder = try TemporaryFolder(), adapter = try Fixture.adapter(in: folder)
    try writeAdapter(
      to: folder.file("new.safetensors"),
      tensors: [filler("lora_unet_new.lora_up.weight", [8, 2]), filler("lora_unet_new.lora_down.weight", [2, 8])])
    try folder.write([1], to: "file")
    try folder.write([], to: "empty.safetensors")
    let names = try folder.names
    let run = try Tool.run(
      ["convert"]
        + arguments.map { $0.hasPrefix("/") ? folder.file(String($0.dropFirst())) : $0 == "STYLE" ? adapter : $0 })
    #expect(run.status == status && run.output.isEmpty)
    let lines = run.errors.split(separator: "\n").filter { $0.hasPrefix("lathe: error: ") }
    #expect(lines.count == 1 && lines[0].contains(message), "\(run.errors)")
    #expect(try folder.names == names && folder.bytes(of: "file") == [1])
  }

  static let refusals: [([String], Int32, String)] = [
    (["/none.safetensors", "--to", "peft", "-o", "/out"], 66, "none.safetensors: no such file"),
    (["/empty.safetensors", "--to", "peft", "-o", "/out"], 65, "header: expected at least 8 bytes, found 0; hint: "),
    (
      ["STYLE", "--to", "peft", "-o", "/file"], 64,
      "file: expected the name of a folder for a PEFT adapter, found a file's"
    ),
    (["STYLE", "--to", "peft", "-o", "/file", "--force"], 64, "expected the name of a folder for a PEFT adapter"),
    (["STYLE", "--to", "peft", "-o", "/no/out"], 73, "cannot create: "),
    (
      ["STYLE", "--to", "diffusers", "--dtype", "f8_e4m3", "-o", "/out.safetensors"], 64,
      "the diffusers names have none; hint: --to kohya"
    ),
    (
      ["/new.safetensors", "--to", "diffusers", "--allow-unmatched", "-o", "/out.safetensors"], 65,
      "expected at least one target that the diffusers dialect has a name for, found none"
    ),
  ]

  @Test("Loaders that disagree are a problem with its cure")
  func loaders() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    let block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_"
    try writeAdapter(
      to: path,
      tensors: [("q", 1.0), ("k", 2.0), ("v", 2.0)].flatMap { name, alpha -> [NamedValues] in
        [
          filler(block + name + ".lora_up.weight", [8, 2]), filler(block + name + ".lora_down.weight", [2, 8]),
          (block + name + ".alpha", [], .f32, [alpha]),
        ]
      })
    let run = try Tool.run(["inspect", path, "--loaders", "--json"])
    let loaders = try #require(run.json["loaders"] as? [String: Any])
    #expect(loaders["agree"] as? Bool == false)
    let targets = try #require(loaders["targets"] as? [[String: Any]])
    #expect(targets.count == 1 && targets[0]["name"] as? String == block + "q")
    let scales = try #require(targets[0]["scales"] as? [String: Any])
    #expect(scales["diffusers"] as? Double == 1 && scales["comfyui"] as? Double == 0.5 && scales["peft"] is NSNull)
    #expect(run.output.contains("hint: lathe convert --normalise"))
    let even = folder.file("b.safetensors")
    #expect(try Tool.run(["convert", path, "-o", even, "--normalise"]).status == 0)
    let after = try Tool.run(["inspect", even, "--loaders", "--json"])
    #expect((after.json["loaders"] as? [String: Any])?["agree"] as? Bool == true)
    #expect(try Tool.run(["inspect", path, "--json"]).json["loaders"] == nil)
  }
}
