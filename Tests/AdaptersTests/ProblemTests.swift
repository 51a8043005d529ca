import Adapters
import FoundationEssentials
import Tensors
import TestSupport
import Testing

/// Proves that each thing that can be wrong with a target or a file is noticed and said in one exact line, and which of
/// them keep the adapter from being worked on.
@Suite struct ProblemTests {
  private static let module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"

  /// A sound target of rank 2 under `name`, 6 × 8.
  static func target(_ name: String, alpha: Double? = 2) -> [NamedValues] {
    [filler("\(name).lora_up.weight", [6, 2]), filler("\(name).lora_down.weight", [2, 8])]
      + (alpha.map { [("\(name).alpha", [], .f32, [$0])] } ?? [])
  }

  private func read(
    _ tensors: [NamedValues], metadata: [(key: String, value: String)] = [], configuration: String? = nil
  ) throws -> Adapter {
    let folder = try TemporaryFolder()
    guard let configuration else {
      try writeAdapter(to: folder.file("a.safetensors"), tensors: tensors, metadata: metadata)
      return try Adapter(path: folder.file("a.safetensors"))
    }
    try writeAdapter(to: folder.file("adapter_model.safetensors"), tensors: tensors, metadata: metadata)
    try folder.write(Array(configuration.utf8), to: "adapter_config.json")
    return try Adapter(path: folder.path)
  }

  @Test("a sound adapter has no problems and can be worked on")
  func sound() throws {
    let adapter = try read(Self.target("lora_unet_x"))
    #expect(adapter.problems.isEmpty && adapter.targets.count == 1 && adapter.parameterCount == 28)
    try adapter.requireWorkable(allowingUnknown: false)
  }

  /// A faulty target, what is said of it, and whether the adapter can be worked on nevertheless.
  struct Fault: CustomTestStringConvertible, Sendable {
    let name: String
    let tensors: @Sendable () -> [NamedValues]
    let message: String
    var isFatal = true
    var testDescription: String { name }
  }

  static let faults: [Fault] = [
    Fault(
      name: "no down factor", tensors: { [filler("x.lora_up.weight", [6, 2])] },
      message: "x: factors: expected a down factor, found none; hint: the file is incomplete"),
    Fault(
      name: "no up factor", tensors: { [filler("x.lora_down.weight", [2, 8])] },
      message: "x: factors: expected an up factor, found none; hint: the file is incomplete"),
    Fault(
      name: "alpha alone", tensors: { [("x.alpha", [], .f32, [1])] },
      message: "x: factors: expected a down factor, found none; hint: the file is incomplete"),
    Fault(
      name: "unequal ranks", tensors: { [filler("x.lora_up.weight", [6, 3]), filler("x.lora_down.weight", [2, 8])] },
      message: "x: shape: expected equal ranks of both factors, found up [6, 3], down [2, 8]"),
    Fault(
      name: "a vector as down factor",
      tensors: { [filler("x.lora_up.weight", [6, 2]), filler("x.lora_down.weight", [8])] },
      message: "x: shape: expected a down factor with 2 to 5 axes, found [8]"),
    Fault(
      name: "a scalar as up factor",
      tensors: { [filler("x.lora_up.weight", []), filler("x.lora_down.weight", [2, 8])] },
      message: "x: shape: expected an up factor with 2 to 5 axes, found []"),
    Fault(
      name: "six axes",
      tensors: { [filler("x.lora_up.weight", [6, 2]), filler("x.lora_down.weight", [2, 8, 1, 1, 1, 1])] },
      message: "x: shape: expected a down factor with 2 to 5 axes, found [2, 8, 1, 1, 1, 1]"),
    Fault(
      name: "an up factor with a kernel",
      tensors: { [filler("x.lora_up.weight", [6, 2, 3, 3]), filler("x.lora_down.weight", [2, 8])] },
      message: "x: shape: expected an up factor without a kernel, found [6, 2, 3, 3]"),
    Fault(
      name: "factors without elements",
      tensors: { [filler("x.lora_up.weight", [6, 0]), filler("x.lora_down.weight", [0, 8])] },
      message: "x: shape: expected factors with elements, found up [6, 0], down [0, 8]"),
    Fault(
      name: "an extent without elements beside it",
      tensors: { [filler("x.lora_up.weight", [6, 0]), filler("x.lora_down.weight", [0, .max])] },
      message: "x: shape: expected factors with elements, found up [6, 0], down [0, 9223372036854775807]"),
    Fault(
      name: "a kernel beside a mid factor",
      tensors: {
        [
          filler("x.lora_up.weight", [6, 2]), filler("x.lora_down.weight", [2, 8, 3, 3]),
          filler("x.lora_mid.weight", [2, 2, 3, 3]),
        ]
      },
      message: "x: shape: expected a down factor without a kernel beside a mid factor, found [2, 8, 3, 3]"),
    Fault(
      name: "a mid factor of another rank",
      tensors: {
        [
          filler("x.lora_up.weight", [6, 2]), filler("x.lora_down.weight", [2, 8]),
          filler("x.lora_mid.weight", [2, 3, 3, 3]),
        ]
      },
      message: "x: shape: expected a mid factor of [2, 2, kernel], found [2, 3, 3, 3]"),
    Fault(
      name: "two alphas", tensors: { target("x", alpha: nil) + [("x.alpha", [2], .f32, [1, 2])] },
      message: "x: alpha: expected one number, found shape [2]"),
    Fault(
      name: "an infinite alpha", tensors: { target("x", alpha: .infinity) },
      message: "x: alpha: expected a finite number, found inf"),
    Fault(
      name: "an alpha that is no number", tensors: { target("x", alpha: .nan) },
      message: "x: alpha: expected a finite number, found nan"),
    Fault(
      name: "an infinite scale", tensors: { target("x") + [("x.scale", [], .f32, [.infinity])] },
      message: "x: alpha: expected a finite number, found inf"),
    Fault(
      name: "a factor in two spellings", tensors: { target("x") + [filler("x.lora_A.weight", [2, 8])] },
      message: "x: name: expected each target once, found it again as x.lora_A.weight"),
    Fault(
      name: "a module in two spellings",
      tensors: {
        target("lora_unet_input_blocks_1_1_proj_in") + target("lora_unet_down_blocks_0_attentions_0_proj_in")
      },
      message: "lora_unet_input_blocks_1_1_proj_in: name: expected each target once, found it again as "
        + "lora_unet_down_blocks_0_attentions_0_proj_in"),
    Fault(
      name: "alpha 0", tensors: { target("x", alpha: 0) },
      message: "x: alpha is 0: the target has no effect (some trainers meant alpha = rank)", isFatal: false),
    Fault(
      name: "a rank above the dimensions",
      tensors: { [filler("x.lora_up.weight", [6, 7]), filler("x.lora_down.weight", [7, 8])] },
      message: "x: rank 7 is above the smaller side of 6 × 8: the factors are larger than they need be",
      isFatal: false),
  ]

  @Test("a faulty target is named with the fault", arguments: faults)
  func fault(fault: Fault) throws {
    let adapter = try read(fault.tensors())
    #expect(adapter.problems.map(\.description) == [fault.message])
    #expect(adapter.problems.first?.isFatal == fault.isFatal)
    guard fault.isFatal else { return try adapter.requireWorkable(allowingUnknown: false) }
    let error = #expect(throws: AdapterError.self) { try adapter.requireWorkable(allowingUnknown: true) }
    #expect(error.map { String(describing: $0) } == "\(adapter.path): \(fault.message)")
  }

  @Test("a factor in a format that cannot be read is named")
  func unreadable() throws {
    let folder = try TemporaryFolder()
    let header =
      #"{"x.lora_up.weight":{"dtype":"F8_E8M0","shape":[2,1],"data_offsets":[0,2]},"#
      + #""x.lora_down.weight":{"dtype":"U8","shape":[1,2],"data_offsets":[2,4]}}"#
    let path = try folder.write(RawSafetensors(header: header, data: [0, 0, 0, 0]).bytes, to: "a.safetensors")
    let adapter = try Adapter(path: path)
    #expect(
      adapter.problems.map(\.description) == ["x: dtype: expected a number format that can be read, found F8_E8M0"])
  }

  @Test("a tensor that no trainer writes is named, and may be left out on request")
  func unknown() throws {
    let adapter = try read(Self.target("lora_unet_x") + [filler("surprise", [3]), filler("norm.scale", [4])])
    #expect(Set(adapter.unknown) == ["surprise", "norm.scale"])
    let fault = "name: expected a known adapter tensor, found this one"
    #expect(Set(adapter.problems.map(\.description)) == ["surprise: \(fault)", "norm.scale: \(fault)"])
    try adapter.requireWorkable(allowingUnknown: true)
    #expect(throws: AdapterError.self) { try adapter.requireWorkable(allowingUnknown: false) }
  }

  @Test("bundled embeddings are passed through, not unknown")
  func passedThrough() throws {
    let adapter = try read(Self.target("lora_unet_x") + [filler("bundle_emb.style.string_to_param.*", [2, 4])])
    #expect(adapter.passedThrough.map(\.name) == ["bundle_emb.style.string_to_param.*"] && adapter.problems.isEmpty)
  }

  @Test(
    "alpha may be a scalar or a list of one, in any format", arguments: [[], [1], [1, 1]] as [[Int]],
    [DType.f32, .f16, .bf16, .f64, .i64])
  func alphaShapes(shape: [Int], dtype: DType) throws {
    let adapter = try read(Self.target("lora_unet_x", alpha: nil) + [("lora_unet_x.alpha", shape, dtype, [4])])
    #expect(adapter.problems.isEmpty && adapter.targets[0].alpha == 4 && adapter.targets[0].scale == 2)
  }

  @Test("a stored scale replaces alpha over rank; without either the scale is 1")
  func scales() throws {
    let scaled = try read(Self.target("lora_unet_x", alpha: 8) + [("lora_unet_x.scale", [], .f32, [0.25])])
    #expect(scaled.targets[0].scale == 0.25 && scaled.targets[0].alpha == 8)
    let plain = try read(Self.target("lora_unet_x", alpha: nil))
    #expect(plain.targets[0].scale == 1 && plain.targets[0].alpha == nil)
  }

  @Test(
    "metadata that contradicts the shapes or tells of another strength is noticed",
    arguments: [
      (("ss_base_model_version", "sdxl_base_v1-0"), "metadata says SDXL, the shapes say SD1.x"),
      (
        ("ss_network_args", "{\"split_qkv\": \"True\"}"),
        "trained with split_qkv: the trained strength was higher than alpha/rank of the fused file says"
      ),
    ])
  func metadata(entry: (String, String), message: String) throws {
    let tensors = [
      filler("\(Self.module).lora_up.weight", [6, 2]), filler("\(Self.module).lora_down.weight", [2, 768]),
    ]
    let adapter = try read(tensors, metadata: [(entry.0, entry.1)])
    #expect(adapter.problems.map(\.description) == [message] && adapter.problems.allSatisfy { !$0.isFatal })
    #expect(try read(tensors, metadata: [("ss_base_model_version", "sd_v1")]).problems.isEmpty)
  }

  @Test("an odd header is passed on as a problem that is not fatal")
  func oddHeader() throws {
    let folder = try TemporaryFolder()
    let header =
      #"{"__metadata__":{"k":"1","k":"2"},"x.lora_up.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},"#
      + #""x.lora_down.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[1,2]}}"#
    let adapter = try Adapter(
      path: folder.write(RawSafetensors(header: header, data: [1, 1]).bytes, to: "a.safetensors"))
    #expect(adapter.problems == [AdapterProblem(.oddHeader("metadata key k occurs twice; the last value counts"))])
    #expect(!adapter.problems[0].isFatal)
  }

  @Test(
    "what reading the weights finds is said in the same grammar",
    arguments: [
      (
        AdapterProblem.Kind.notFinite(factor: "down", count: 3),
        "x: down: expected finite values, found 3 NaN or infinite", true
      ),
      (.dead, "x: the delta is zero: the target was never trained", false),
    ])
  func weights(kind: AdapterProblem.Kind, message: String, isFatal: Bool) {
    let problem = AdapterProblem(kind, target: "x")
    #expect(problem.description == message && problem.isFatal == isFatal)
  }
}
