import Foundation
import TestSupport
import Testing

/// Adapters whose deltas depend on the base, on the command line.
@Suite struct BaseOptionTests {
  /// IA3 on a matrix of 6 × 4 beside a LoRA of another weight, and their base.
  private func files(in folder: TemporaryFolder) throws -> (adapter: String, base: String) {
    let (adapter, base) = (folder.file("a.safetensors"), folder.file("base.safetensors"))
    try writeAdapter(
      to: adapter,
      tensors: [
        filler("lora_unet_x.weight", [6]), ("lora_unet_x.on_input", [], .i64, [0]),
        filler("lora_unet_y.lora_up.weight", [5, 2]), filler("lora_unet_y.lora_down.weight", [2, 4]),
      ])
    try writeAdapter(to: base, tensors: [filler("x.weight", [6, 4]), filler("y.weight", [5, 4])])
    return (adapter, base)
  }

  @Test("Without the base one line says what is missing; with it the operation works")
  func operations() throws {
    let folder = try TemporaryFolder(), (adapter, base) = try files(in: folder)
    let line =
      "\(adapter): lora_unet_x: ia3 depends on the base weight: expected a base, found none; "
      + "hint: give the checkpoint with --base"
    let output = folder.file("out.safetensors")
    for arguments in [
      ["spectrum", adapter], ["compare", adapter, adapter], ["resize", adapter, "-o", output, "--energy", "0.9"],
      ["merge", adapter, adapter, "-o", output],
    ] {
      let bare = try Tool.run(arguments)
      #expect(bare.status == 65 && bare.errors.contains(line), "\(arguments): \(bare.errors)")
      #expect(try folder.names == ["a.safetensors", "base.safetensors"])
      let based = try Tool.run(arguments + ["--base", base])
      #expect(based.status == 0, "\(arguments): \(based.errors)")
      try? FileManager.default.removeItem(atPath: output)
    }
    let spectrum = try Tool.run(["spectrum", adapter, "--base", base, "--json"]).json
    #expect((spectrum["targets"] as? [[String: Any]])?.count == 2)
    let inspect = try Tool.run(["inspect", adapter])
    #expect(inspect.status == 0 && inspect.output.contains("ia3") && inspect.output.contains("needs"))
    #expect(try Tool.run(["bake", base, adapter, "-o", output]).status == 0)
    let convert = try Tool.run(["convert", adapter, "--to", "peft", "-o", folder.file("peft")])
    #expect(convert.status == 65 && convert.errors.contains("lora_unet_x"), "\(convert.errors)")
  }

  @Test("Another base is named, and a base that nobody needs is a note")
  func otherBase() throws {
    let folder = try TemporaryFolder(), (adapter, base) = try files(in: folder),
      other = folder.file("other.safetensors")
    try writeAdapter(to: other, tensors: [filler("x.weight", [7, 4]), filler("y.weight", [5, 4])])
    let wrong = try Tool.run(["spectrum", adapter, "--base", other])
    #expect(wrong.status == 65 && wrong.errors.contains("shape: expected [7, 4] as the base has"), "\(wrong.errors)")
    let plain = folder.file("plain.safetensors")
    try writeAdapter(
      to: plain,
      tensors: [filler("lora_unet_y.lora_up.weight", [5, 2]), filler("lora_unet_y.lora_down.weight", [2, 4])])
    let note = try Tool.run(["spectrum", plain, "--base", base])
    #expect(note.status == 0 && note.errors.contains("--base: no target depends on it; only spikes are told by it"))
  }

  @Test("The strength enters DoRA as the named program has it")
  func rules() throws {
    let folder = try TemporaryFolder(), adapter = folder.file("dora.safetensors"),
      base = folder.file("base.safetensors")
    try writeAdapter(
      to: adapter,
      tensors: [
        filler("lora_unet_y.lora_up.weight", [5, 2]), filler("lora_unet_y.lora_down.weight", [2, 4]),
        filler("lora_unet_y.dora_scale", [5, 1]),
      ])
    try writeAdapter(to: base, tensors: [filler("y.weight", [5, 4])])
    var results: Set<Data> = []
    for rule in ["linear", "lycoris", "peft", "comfy", "a1111"] {
      let output = folder.file("\(rule).safetensors")
      #expect(try Tool.run(["bake", base, adapter + "@0.5", "-o", output, "--compat", rule]).status == 0)
      results.insert(try Data(contentsOf: URL(filePath: output)))
    }
    #expect(results.count == 5)
  }
}
