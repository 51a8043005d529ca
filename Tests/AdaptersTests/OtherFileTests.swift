import Adapters
import Models
import Safetensors
import Tensors
import TestSupport
import Testing
import TorchPickles

/// Proves that files which are no adapters are refused with what they are instead.
@Suite struct OtherFileTests {
  private func message(_ folder: TemporaryFolder, _ name: String) -> String? {
    let path = folder.file(name)
    let error = #expect(throws: (any Error).self) { try Adapter(path: path) }
    return error.map { String(describing: $0) }.map {
      $0.hasPrefix(path + ": ") ? String($0.dropFirst(path.count + 2)) : $0
    }
  }

  private func message(tensors: [String]) throws -> String? {
    let folder = try TemporaryFolder()
    try writeAdapter(to: folder.file("a.safetensors"), tensors: tensors.map { filler($0, [2, 2]) })
    return message(folder, "a.safetensors")
  }

  @Test("a whole checkpoint in place of an adapter")
  func checkpoint() throws {
    let expected = "expected an adapter, found a whole checkpoint"
    #expect(
      try message(tensors: [
        "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.conv_in.weight",
        "cond_stage_model.x",
      ])
        == expected)
    #expect(try message(tensors: ["first_stage_model.decoder.conv_in.weight"]) == expected)
  }

  @Test("a textual inversion in place of an adapter")
  func textualInversion() throws {
    let expected = "expected an adapter, found a textual inversion"
    #expect(try message(tensors: ["emb_params"]) == expected)
    #expect(try message(tensors: ["string_to_param.*"]) == expected)
  }

  @Test("tensors of other names, and none at all")
  func others() throws {
    #expect(
      try message(tensors: ["encoder.weight", "decoder.weight"])
        == "expected an adapter, found 2 tensors of other names (decoder.weight …)")
    #expect(try message(tensors: []) == "expected an adapter, found no tensors")
  }

  @Test(
    "numbers in names are no trouble, whatever they are",
    arguments: [
      ["unet:-1:up", "unet:-1:down", "unet:-2:up", "unet:-2:down"],
      (1...4).flatMap { ["text_encoder:-\($0):up", "text_encoder:-\($0):down"] },
      ["one", "two"].flatMap { ["unet:\($0).lora_up.weight", "unet:\($0).lora_down.weight"] },
      (1...4).flatMap { ["text_encoder:x\($0).lora_up.weight", "text_encoder:x\($0).lora_down.weight"] },
      [
        "lora_unet_mid_block_resnets_9223372036854775807_conv1.lora_up.weight",
        "lora_unet_down_blocks_9223372036854775807_attentions_9223372036854775807_x.lora_up.weight",
      ],
      [
        "lora_unet_input_blocks_9223372036854775807_1_x.lora_up.weight",
        "lora_unet_output_blocks_9223372036854775807_0_conv.lora_down.weight",
        "lora_unet_middle_block_9223372036854775807_x.lora_up.weight",
      ],
    ])
  func numbers(names: [String]) throws {
    let folder = try TemporaryFolder()
    try writeAdapter(to: folder.file("a.safetensors"), tensors: names.map { filler($0, [2, 2]) })
    guard let adapter = try? Adapter(path: folder.file("a.safetensors")) else { return }
    #expect(adapter.targets.count + adapter.problems.count > 0)
    for target in adapter.targets { #expect(target.key.ldmPath?.isEmpty != true) }
    for name in names {
      let module = String(name.prefix { $0 != "." })
      #expect(TargetKey(.denoiser, String(module.dropFirst("lora_unet_".count))).ldmPath?.isEmpty != true)
    }
  }

  @Test("a web page, a truncated download and an empty file")
  func downloads() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("<!doctype html>\n<html></html>".utf8), to: "page.safetensors")
    #expect(
      message(folder, "page.safetensors")
        == "content: expected a safetensors header, found an HTML page; hint: the download link gave a web page "
        + "(a login or error page), download the file itself")
    try writeAdapter(to: folder.file("whole.safetensors"), tensors: ProblemTests.target("x"))
    let whole = try folder.bytes(of: "whole.safetensors")
    try folder.write(Array(whole.dropLast(10)), to: "cut.safetensors")
    #expect(
      message(folder, "cut.safetensors")
        == "data: expected 116 bytes, found 106; hint: the download stopped early, fetch it again")
    try folder.write(Array(whole.prefix(40)), to: "head.safetensors")
    let count = whole.count - 116 - 8
    #expect(
      message(folder, "head.safetensors")
        == "header: expected \(count) bytes, found 32; hint: the file is cut off or is not safetensors")
    try folder.write([], to: "empty.safetensors")
    #expect(
      message(folder, "empty.safetensors")
        == "header: expected at least 8 bytes, found 0; hint: the download stopped early, fetch it again")
  }

  @Test("every prefix of an adapter is refused")
  func prefixes() throws {
    let folder = try TemporaryFolder()
    try writeAdapter(to: folder.file("whole.safetensors"), tensors: ProblemTests.target("x"), metadata: [("k", "v")])
    let whole = try folder.bytes(of: "whole.safetensors")
    for count in 0..<whole.count {
      let path = try folder.write(Array(whole.prefix(count)), to: "prefix.safetensors")
      #expect(throws: SafetensorsError.self) { try Adapter(path: path) }
    }
  }

  @Test("a missing file and a folder without an adapter")
  func missing() throws {
    let folder = try TemporaryFolder()
    #expect(message(folder, "none.safetensors") == "no such file")
    let error = #expect(throws: AdapterError.self) { try Adapter(path: folder.path) }
    #expect(
      error.map { String(describing: $0) }
        == "\(folder.path): expected an adapter, found a folder without adapter_model.safetensors")
  }

  @Test("old and hostile torch files")
  func pickles() throws {
    let folder = try TemporaryFolder()
    try folder.write(
      [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e], to: "old.pt")
    #expect(message(folder, "old.pt") == "pickle: the program ends too early at byte 15")
    try folder.write([0x50, 0x4b, 3, 4] + [UInt8](repeating: 0, count: 100), to: "broken.pt")
    #expect(
      message(folder, "broken.pt")
        == "expected a torch zip archive: Not a zip archive; hint: if the download stopped early, fetch it again")
  }

  @Test("numbered targets with shapes of any size are no trouble")
  func numbered() throws {
    let folder = try TemporaryFolder()
    var tensors: [NamedValues] = []
    for i in 0..<144 { tensors += [("unet:\(i):up", [0, .max], .f32, []), ("unet:\(i):down", [0, .max], .f32, [])] }
    try writeAdapter(to: folder.file("a.safetensors"), tensors: tensors)
    let adapter = try Adapter(path: folder.file("a.safetensors"))
    #expect(adapter.targets.isEmpty && adapter.problems.count == 144)
  }

  @Test(
    "tags are counted over all data sets, most frequent first, ties by name; odd counts are no trouble",
    arguments: [
      (#"{"10_a":{"cat":3,"dog":1},"5_b":{" cat ":2,"ant":1}}"#, "cat 5, ant 1, dog 1"),
      (#"{"a":{"x":1e300,"y":-5,"z":"7"}}"#, "x 1000000000000, y 0, z 0"),
      (#"{"a":{"x":9223372036854775807},"b":{"x":9223372036854775807}}"#, "x 2000000000000"), ("{\"a\":1}", ""),
      ("not json", ""), ("", ""),
      ("{\"a\":{\"x\":2.9}}", "x 2"),
    ])
  func tags(text: String, expected: String) throws {
    let folder = try TemporaryFolder()
    try writeAdapter(
      to: folder.file("a.safetensors"), tensors: ProblemTests.target("x"), metadata: [("ss_tag_frequency", text)])
    let tags = TrainingMetadata(try Adapter(path: folder.file("a.safetensors"))).tags
    #expect(tags.map { "\($0.tag) \($0.count)" }.joined(separator: ", ") == expected)
  }
}
