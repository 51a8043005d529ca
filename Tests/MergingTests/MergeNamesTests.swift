import Adapters
import Checkpoints
import JSON
import Models
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that adapters which spell the same base weights differently are merged on the same targets, and that the
/// result is spelled as its format demands.
@Suite struct MergeNamesTests {
  /// One adapter for each list of names, all with the same shapes in the same order.
  private func adapters(_ lists: [[String]], inputs: [Int], _ folder: TemporaryFolder) throws -> [Adapter] {
    try lists.enumerated().map { index, names in
      var pico = Pico(seed: UInt64(index + 1), names[0].contains(".") ? .diffusers : .kohya)
      for (name, inputs) in zip(names, inputs) { pico.add(name, rows: 6, inputs: inputs, rank: 2) }
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
  }

  /// The three spellings of SDXL: kohya's with the checkpoint's block names, the same with diffusers' block names, and
  /// diffusers' own.
  static let sdxl = [
    [
      "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k",
      "lora_unet_middle_block_1_transformer_blocks_9_attn1_to_out_0",
      "lora_unet_output_blocks_3_0_in_layers_2", "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
      "lora_te2_text_model_encoder_layers_31_mlp_fc1",
    ],
    [
      "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
      "lora_unet_mid_block_attentions_0_transformer_blocks_9_attn1_to_out_0", "lora_unet_up_blocks_1_resnets_0_conv1",
      "lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "lora_te2_text_model_encoder_layers_31_mlp_fc1",
    ],
    [
      "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
      "unet.mid_block.attentions.0.transformer_blocks.9.attn1.to_out.0", "unet.up_blocks.1.resnets.0.conv1",
      "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
      "text_encoder_2.text_model.encoder.layers.31.mlp.fc1",
    ],
  ]
  static let sd1 = [
    [
      "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
      "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn1_to_out_0",
      "lora_te_text_model_encoder_layers_0_self_attn_out_proj",
    ],
    [
      "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k",
      "unet.up_blocks.3.attentions.2.transformer_blocks.0.attn1.processor.to_out",
      "text_encoder.text_model.encoder.layers.0.self_attn.to_out",
    ],
  ]

  private func checkSum(_ output: Adapter, _ adapters: [Adapter], _ strengths: [Double]) throws {
    for target in output.targets {
      let deltas = try adapters.map { adapter in
        try #require(adapter.targets.first { $0.key == target.key }, "\(target.key)").dense
      }
      #expect(relativeDifference(target.dense, sum(deltas, strengths)) <= 2e-7, "\(target.name)")
    }
  }

  @Test("SDXL: three spellings meet, and come out in kohya's with the checkpoint's block names")
  func sdxl() throws {
    let folder = try TemporaryFolder()
    let adapters = try adapters(Self.sdxl, inputs: [2048, 12, 8, 7, 9], folder)
    #expect(adapters.map(\.family) == [.sdxl, .sdxl, .sdxl])
    #expect(adapters.map(\.format) == [.kohya, .kohya, .diffusers])
    let output = try Refactoring(.merge(adapters, [0.5, -1, 2]), to: folder.file("m.safetensors")).output
    #expect(output.format == .kohya)
    #expect(output.targets.map(\.name).sorted() == Self.sdxl[0].sorted())
    #expect(output.targets.allSatisfy { $0.rank == 6 && $0.alpha == 6 })
    try checkSum(output, adapters, [0.5, -1, 2])
  }

  @Test("SDXL: kohya's two spellings meet although only one is asked for", arguments: [[0, 1], [1, 0]])
  func kohyaOnly(order: [Int]) throws {
    let folder = try TemporaryFolder()
    let adapters = try adapters(order.map { Self.sdxl[$0] }, inputs: [2048, 12, 8, 7, 9], folder)
    let output = try Refactoring(.merge(adapters, [1, 1]), to: folder.file("m.safetensors")).output
    #expect(output.targets.map(\.name).sorted() == Self.sdxl[0].sorted())
    try checkSum(output, adapters, [1, 1])
  }

  @Test("SD1: kohya's and diffusers' old processor names meet, with one text encoder")
  func sd1() throws {
    let folder = try TemporaryFolder(), adapters = try adapters(Self.sd1, inputs: [768, 12, 7], folder)
    #expect(adapters.map(\.family) == [.sd1, .sd1])
    let output = try Refactoring(.merge(adapters, [0.5, 0.25]), to: folder.file("m.safetensors")).output
    #expect(output.targets.map(\.name).sorted() == Self.sd1[0].sorted())
    try checkSum(output, adapters, [0.5, 0.25])
  }

  @Test("A merge of one dialect stays in it, in its present spelling", arguments: [nil, AdapterFormat.diffusers])
  func diffusers(format: AdapterFormat?) throws {
    let folder = try TemporaryFolder(),
      adapters = try adapters([Self.sd1[1], Self.sd1[1]], inputs: [768, 12, 7], folder)
    var recipe = RefactorRecipe.merge(adapters, [1, 1])
    recipe.format = format
    let output = try Refactoring(recipe, to: folder.file("m.safetensors")).output
    #expect(output.format == .diffusers)
    #expect(
      output.targets.map(\.name).sorted() == [
        "text_encoder.text_model.encoder.layers.0.self_attn.out_proj",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
        "unet.up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_out.0",
      ])
    #expect(output.targets.allSatisfy { $0.names.up.hasSuffix(".lora_B.weight") && $0.scale == 1 })
    try checkSum(output, adapters, [1, 1])
  }

  @Test("Dotted names are taken from whichever adapter has them")
  func dottedFromAnother() throws {
    let folder = try TemporaryFolder(), adapters = try adapters(Self.sd1, inputs: [768, 12, 7], folder)
    var recipe = RefactorRecipe.merge(adapters, [1, 1])
    recipe.format = .diffusers
    let output = try Refactoring(recipe, to: folder.file("m.safetensors")).output
    #expect(output.format == .diffusers)
    #expect(output.targets.count == 3)
    try checkSum(output, adapters, [1, 1])
  }

  @Test("An adapter whose family nobody knows keeps kohya's name for its text encoder")
  func unknownFamily() throws {
    let folder = try TemporaryFolder(), names = ["lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_unet_x"]
    let adapters = try adapters([names, names], inputs: [5, 6], folder)
    #expect(adapters[0].family == .unknown)
    let output = try Refactoring(.merge(adapters, [1, 1]), to: folder.file("m.safetensors")).output
    #expect(output.targets.map(\.name).sorted() == names)
  }

  @Test("A merge forgets the titles of its inputs and records them all")
  func metadata() throws {
    let folder = try TemporaryFolder()
    let adapters = try ["one", "two"].enumerated().map { index, title in
      var pico = Pico(seed: UInt64(index))
      pico.add("lora_unet_a", rows: 6, inputs: 5, rank: 2, alpha: 1)
      pico.metadata = [
        ("modelspec.sai_model_spec", "1.0.0"), ("modelspec.title", title), ("ss_output_name", title),
        ("ss_only_\(title)", "x"),
        ("ss_both", title),
      ]
      return try pico.write(to: folder.file("\(title).safetensors"))
    }
    let output = try Refactoring(.merge(adapters, [1, -0.5], .rank(4, conv: nil)), to: folder.file("m.safetensors"))
      .output
    #expect(output[metadata: "modelspec.title"] == nil)
    #expect(output[metadata: "ss_output_name"] == nil)
    #expect(output[metadata: "ss_only_one"] == "x" && output[metadata: "ss_only_two"] == "x")
    #expect(output[metadata: "ss_both"] == "one")
    #expect(output[metadata: "modelspec.merged_from"] == "one.safetensors, two.safetensors")
    #expect(output[metadata: "ss_network_dim"] == "4")
    #expect(output[metadata: "ss_network_alpha"] == "4")
    let recipe = try #require(JSONValue(parsing: output[metadata: "lathe.recipe"] ?? "")?.object)
    #expect(recipe["operation"] == .string("merge"))
    #expect(recipe["inputs"]?.array?.map { $0.object?["strength"]?.double } == [1, -0.5])
    #expect(try AdapterHashes(of: output).staleHash(in: output) == nil)
  }

  @Test("PEFT folders merge to a folder with a configuration that fits")
  func peft() throws {
    let folder = try TemporaryFolder()
    let adapters = try (0..<2).map { index in
      var pico = Pico(seed: UInt64(index), .diffusers)
      pico.add("base_model.model.layers.0.self_attn.q_proj", rows: 6, inputs: 5, rank: 2)
      if index == 0 { pico.add("base_model.model.layers.1.self_attn.q_proj", rows: 6, inputs: 5, rank: 2) }
      return try pico.writeFolder(
        folder.file("\(index)"),
        configuration: #"{"peft_type":"LORA","r":2,"lora_alpha":\#(3 + index),"target_modules":["q_proj"]}"#)
    }
    #expect(adapters.map { $0.targets[0].scale } == [1.5, 2])
    let run = try Refactoring(.merge(adapters, [1, -0.5]), to: folder.file("out"))
    #expect(run.output.format == .peft)
    #expect(run.output.problems.isEmpty)
    #expect(run.output.targets.map(\.rank).sorted() == [2, 4])
    for target in run.output.targets {
      let deltas = adapters.map { adapter in
        adapter.targets.first { $0.key == target.key }?.dense ?? target.dense.map { _ in 0 }
      }
      #expect(relativeDifference(target.dense, sum(deltas, [1, -0.5])) <= 2e-7)
    }
    #expect(try folder.names == ["0", "1", "out"])
  }

  @Test(
    "T5 of a family that is not known is kohya's third text encoder, as conversions have it",
    arguments: ["text_encoder", "text_encoder_2", "text_encoder_3"])
  func unknownT5(network: String) throws {
    let folder = try TemporaryFolder()
    let adapters = try adapters([["\(network).encoder.block.0.layer.0.SelfAttention.q"]], inputs: [5], folder)
    #expect(adapters[0].family == .unknown)
    var recipe = RefactorRecipe.merge(adapters, [1])
    recipe.format = .kohya
    let output = try Refactoring(recipe, to: folder.file("m.safetensors")).output
    #expect(output.targets.map(\.name) == ["lora_te3_encoder_block_0_layer_0_SelfAttention_q"])
  }
}
