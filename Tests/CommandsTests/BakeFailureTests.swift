import Foundation
import Tensors
import TestSupport
import Testing

/// Bases and adapters that cannot be baked: one line on standard error, the right exit code, no output.
@Suite struct BakeFailureTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// `DIR` is the folder of the files that `prepare` makes.
    var arguments: [String]
    var status: Int32
    var message: String
  }

  private static let tail = ["DIR/style.safetensors", "-o", "DIR/out"]
  private static let shard = "model-00002-of-00002.safetensors"

  static let cases =
    ["bake", "check"].flatMap { command -> [Case] in
      func arguments(_ base: String) -> [String] {
        command == "bake" ? ["bake", base] + tail : ["check", "DIR/style.safetensors", base]
      }
      return [
        Case(
          testDescription: "\(command): no base", arguments: arguments("DIR/none.safetensors"), status: 66,
          message: "DIR/none.safetensors: no such file"),
        Case(
          testDescription: "\(command): a missing shard", arguments: arguments("DIR/missing"), status: 66,
          message:
            "DIR/missing/model.safetensors.index.json: shard: expected \(shard) as the index says, found no such "
            + "file; hint: fetch it again"),
        Case(
          testDescription: "\(command): a truncated shard", arguments: arguments("DIR/truncated"), status: 65,
          message: "DIR/truncated/\(shard): data: expected 98304 bytes, found 98204; hint: the download stopped early, "
            + "fetch it again"),
        Case(
          testDescription: "\(command): a shard outside the folder", arguments: arguments("DIR/outside"), status: 65,
          message: "DIR/outside/model.safetensors.index.json: expected files inside the folder, found "
            + "../base.safetensors, which lies outside"),
        Case(
          testDescription: "\(command): an empty folder", arguments: arguments("DIR/empty"), status: 65,
          message: "DIR/empty: expected a base checkpoint, found a folder without "
            + "diffusion_pytorch_model.safetensors or model.safetensors"),
      ]
    } + [
      Case(
        testDescription: "bake: another family", arguments: ["bake", "DIR/sdxl.safetensors"] + tail, status: 65,
        message:
          "DIR/style.safetensors: this is an SD1.x adapter; the checkpoint is SDXL; hint: lathe check shows what "
          + "fits"),
      Case(
        testDescription: "bake: another shape", arguments: ["bake", "DIR/shapes.safetensors"] + tail, status: 65,
        message: "DIR/style.safetensors: lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q: shape: "
          + "expected [31, 32], found [32, 32] (and 2 more); hint: --allow-unmatched bakes the rest"),
      Case(
        testDescription: "bake: no adapter", arguments: ["bake", "DIR/base.safetensors", "DIR/none", "-o", "DIR/out"],
        status: 66, message: "DIR/none: no such file"),
      Case(
        testDescription: "bake: a folder that is not there",
        arguments: ["bake", "DIR/base.safetensors", "DIR/style.safetensors", "-o", "DIR/no/out"], status: 73,
        message: "DIR/no/out: cannot create: DIR/no/: No such file or directory"),
      Case(
        testDescription: "bake: NaN", arguments: ["bake", "DIR/nan.safetensors"] + tail, status: 65,
        message: "DIR/nan.safetensors: model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight: "
          + "expected finite F32 numbers, found 1 NaN or infinite; the base itself is not finite there"),
      Case(
        testDescription: "bake: the undo file is the output",
        arguments: ["bake", "DIR/base.safetensors"] + tail + ["--undo", "DIR/out"], status: 73,
        message: "DIR/out: is the output itself; hint: give the undo file another name"),
      Case(
        testDescription: "unbake: no undo file",
        arguments: ["unbake", "DIR/base.safetensors", "--undo", "DIR/none", "-o", "DIR/out"], status: 66,
        message: "DIR/none: no such file"),
    ]

  /// All the good and bad files.
  private func prepare(_ folder: TemporaryFolder) throws {
    _ = try Fixture.adapter(in: folder)
    _ = try Fixture.base(in: folder)
    _ = try Fixture.base(in: folder, "sdxl.safetensors", context: 2048)
    let prefix = "model.diffusion_model.input_blocks.", key = prefix + "1.1.transformer_blocks.0.attn2.to_k.weight"
    try writeAdapter(
      to: folder.file("shapes.safetensors"),
      tensors: [
        filler(prefix + "0.0.weight", [32, 4, 3, 3]), filler(key, [31, 768]),
        filler(prefix + "1.1.transformer_blocks.0.attn1.to_q.weight", [31, 32]),
      ])
    var broken = filler(key, [32, 768])
    broken.values[700] = .nan
    try writeAdapter(
      to: folder.file("nan.safetensors"),
      tensors: [
        filler(prefix + "0.0.weight", [32, 4, 3, 3]), broken,
        filler(prefix + "1.0.in_layers.2.weight", [32, 16, 3, 3]),
        filler(prefix + "1.1.transformer_blocks.0.attn1.to_q.weight", [32, 32]),
      ])
    let first = "model-00001-of-00002.safetensors"
    for name in ["missing", "truncated", "outside", "empty"] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: false)
      guard name != "empty" else { continue }
      try writeAdapter(to: folder.file("\(name)/\(first)"), tensors: [filler(prefix + "0.0.weight", [32, 4, 3, 3])])
      if name == "truncated" {
        let shard = folder.file("\(name)/\(Self.shard)")
        try writeAdapter(to: shard, tensors: [filler(key, [32, 768])])
        try folder.write(
          Array(try folder.bytes(of: "\(name)/\(Self.shard)").dropLast(100)), to: "\(name)/\(Self.shard)")
      }
      let second = name == "outside" ? "../base.safetensors" : Self.shard
      let index = #"{"weight_map": {"\#(prefix)0.0.weight": "\#(first)", "\#(key)": "\#(second)"}}"#
      try folder.write(Array(index.utf8), to: "\(name)/model.safetensors.index.json")
    }
  }

  @Test("one line, the right exit code, nothing left", arguments: cases)
  func failure(_ item: Case) throws {
    let folder = try TemporaryFolder()
    try prepare(folder)
    let before = try folder.names
    func resolved(_ text: String) -> String { text.replacingOccurrences(of: "DIR", with: folder.path) }
    let run = try Tool.run(item.arguments.map(resolved))
    #expect(run.status == item.status)
    #expect(run.errors == "lathe: error: \(resolved(item.message))\n")
    #expect(run.output.isEmpty)
    #expect(try folder.names == before)
  }
}
