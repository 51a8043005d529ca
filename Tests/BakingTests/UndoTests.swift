import Factoring
import Files
import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that a bake is taken back bit for bit, in every format and rounding and for every layout of files.
@Suite struct UndoTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  /// Every kind of change and numbers of all sizes, in one number format.
  private func tensors(_ dtype: DType, isScaled: Bool) -> [NamedValues] {
    var generator = SplitMix64(seed: 11)
    func values(_ count: Int) -> [Double] {
      let limit = dtype == .f8e4m3 ? 400.0 : 40_000
      return (0..<count).map { _ in
        let value = generator.gaussian() * Double(sign: .plus, exponent: generator.below(24) - 16, significand: 1)
        return [value, 0, -0.0][generator.below(20) < 18 ? 0 : 1 + generator.below(2)].clamped(limit)
      }
    }
    var result: [NamedValues] = [
      ("double_blocks.0.img_attn.qkv.weight", [12, 20], dtype, values(240)),
      ("double_blocks.0.img_mlp.0.weight", [30, 20], dtype, values(600)),
      ("final_layer.adaLN_modulation.1.weight", [8, 20], dtype, values(160)),
      ("double_blocks.0.txt_mlp.0.weight", [7, 5], dtype, values(35)),
      ("double_blocks.0.img_mlp.0.bias", [30], dtype == .f8e4m3 || dtype == .f8e5m2 ? .f32 : dtype, values(30)),
      ("v_pred", [0], .f32, []), ("double_blocks.0.empty.weight", [3, 0], dtype, []),
    ]
    guard isScaled else { return result }
    result += [
      ("double_blocks.0.img_attn.qkv.scale_weight", [12, 1], .f32, (1...12).map { Double($0) * 1e-3 }),
      ("double_blocks.0.img_mlp.0.scale_weight", [], .f32, [0.03]),
      ("final_layer.adaLN_modulation.1.scale_weight", [8], .bf16, (1...8).map { Double($0) * 1e-2 }),
      ("scaled_fp8", [0], dtype, []),
    ]
    return result
  }

  private func changes(size: Double) -> [Change] {
    let ends = (up: ".lora_B.weight", down: ".lora_A.weight")
    return [
      Change("transformer.transformer_blocks.0.attn.to_k", 4, 20, size: size, seed: 1, ends: ends),
      Change("transformer.transformer_blocks.0.ff.net.0.proj", 30, 20, rank: 3, size: size, seed: 2, ends: ends),
      Change("transformer.norm_out.linear", 8, 20, size: size, seed: 3, ends: ends),
    ]
  }

  /// The file as another tool might have written it.
  private func writeBase(_ tensors: [NamedValues], _ name: String = "base.safetensors") throws {
    var text = #" {  "b64":"x""#, data: [UInt8] = []
    text = #"{ "__metadata__" : { "b" : "é\u00e9\n", "a":"" , "lathe.undo?":"no"}"#
    for tensor in tensors {
      let bytes = Tensor(tensor.values, shape: Shape(tensor.shape), dtype: tensor.dtype).bytes
      text +=
        #" ,"\#(tensor.name)": {"shape":\#(tensor.shape),  "data_offsets" : [\#(data.count), "#
        + #"\#(data.count + bytes.count)], "dtype":"\#(tensor.dtype.rawValue)" }"#
      data += bytes.withUnsafeBytes(Array.init)
    }
    try bench.folder.write(RawSafetensors(header: text + "}  ", data: data).bytes, to: name)
  }

  private func hash(_ name: String) throws -> String {
    ContentHash.sha256(Bytes(copying: try bench.folder.bytes(of: name)))
  }

  struct Format: Sendable, CustomTestStringConvertible {
    let stored: DType
    var isScaled = false
    var target: DType?
    var testDescription: String {
      "\(stored.rawValue)\(isScaled ? " scaled" : "")\(target.map { " to \($0.rawValue)" } ?? "")"
    }
  }

  static let formats =
    [DType.f32, .f16, .bf16, .f8e4m3, .f8e5m2].flatMap { stored in
      [Format(stored: stored)]
        + [DType.f32, .f16, .bf16, .f8e4m3].filter { $0 != stored }.map { Format(stored: stored, target: $0) }
    }
    + [DType.f8e4m3, .f8e5m2].flatMap { stored in
      [
        Format(stored: stored, isScaled: true), Format(stored: stored, isScaled: true, target: .bf16),
        Format(stored: stored, isScaled: true, target: .f32), Format(stored: stored, isScaled: true, target: .f8e4m3),
      ]
    }

  @Test("the file comes back bit for bit", arguments: formats, Rounding.allCases)
  func file(_ format: Format, _ rounding: Rounding) throws {
    try writeBase(tensors(format.stored, isScaled: format.isScaled))
    for size in [0.01, 1.5] {
      let adapter = try bench.adapter(changes(size: size))
      try bench.bake([.init(path: adapter, strength: -0.8)], dtype: format.target, rounding: rounding, undo: "undo")
      #expect(try hash("out.safetensors") != hash("base.safetensors"))
      try FileManager.default.removeItem(atPath: adapter)
      try bench.unbake()
      #expect(try hash("back.safetensors") == hash("base.safetensors"), "size \(size)")
    }
  }

  @Test("several adapters, Tucker factors and transposed matrices come back too")
  func kinds() throws {
    let prefix = "conditioner.embedders.1.model."
    try writeBase([
      filler("model.diffusion_model.input_blocks.0.0.weight", [6, 5, 3, 3], .bf16, seed: 1),
      filler(
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [4, 2048], .bf16, seed: 2),
      filler(prefix + "text_projection", [4, 6], .f16, seed: 3),
      filler(prefix + "transformer.resblocks.0.mlp.c_fc.weight", [4, 4], .f16, seed: 4),
    ])
    let first = [
      Change("lora_unet_conv_in", 6, 5, kernel: [3, 3], mid: 3, alpha: 1, size: 0.1),
      Change("lora_te2_text_projection", 6, 4, alpha: 1, size: 0.1, seed: 5),
    ]
    let second = [Change("lora_unet_conv_in", 6, 5, kernel: [3, 3], alpha: 2, size: 0.1, seed: 6)]
    let inputs = [
      AdapterInput(path: try bench.adapter(first), strength: 0.7, textEncoderStrength: 2),
      AdapterInput(path: try bench.adapter(second, "2.safetensors"), blocks: BlockWeights(named: ["IN00": 0.5])),
    ]
    for rounding in Rounding.allCases {
      try bench.bake(inputs, rounding: rounding, undo: "undo")
      try bench.unbake()
      #expect(try hash("back.safetensors") == hash("base.safetensors"), "\(rounding)")
    }
  }

  @Test("a bake of a bake is taken back twice")
  func twice() throws {
    try writeBase(tensors(.bf16, isScaled: false))
    let adapter = try bench.adapter(changes(size: 0.1))
    try bench.bake([.init(path: adapter)], to: "one", undo: "undo1")
    try bench.bake([.init(path: adapter, strength: 0.4)], base: "one", to: "two", undo: "undo2")
    try bench.unbake("two", undo: "undo2", to: "one again")
    #expect(try hash("one again") == hash("one"))
    try bench.unbake("one again", undo: "undo1", to: "back")
    #expect(try hash("back") == hash("base.safetensors"))
  }

  @Test("a folder of shards comes back with all its files", arguments: [DType.f16, .f8e4m3])
  func folder(_ dtype: DType) throws {
    let all = tensors(dtype, isScaled: dtype == .f8e4m3)
    let first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors"
    func isFirst(_ name: String) -> Bool { name.contains("img_") }
    try FileManager.default.createDirectory(atPath: bench.path("base"), withIntermediateDirectories: true)
    try writeBase(all.filter { isFirst($0.name) }, "base/" + first)
    try writeBase(all.filter { !isFirst($0.name) }, "base/" + second)
    let map = all.map { #""\#($0.name)": "\#(isFirst($0.name) ? first : second)""# }.joined(separator: ",")
    try bench.text(
      #"{"metadata": {"total_size": 7}, "weight_map": {\#(map)}}"#, to: "base/model.safetensors.index.json")
    try bench.text("x", to: "base/deep/tokenizer.json")
    let adapter = try bench.adapter(changes(size: 0.3))
    for dtype in [nil, DType.bf16] {
      let name = dtype?.rawValue ?? "same"
      try bench.bake(
        [.init(path: adapter)], base: "base", to: "out" + name, dtype: dtype, undo: "undo")
      try bench.unbake("out" + name, to: "back" + name)
      let files = [first, second, "model.safetensors.index.json", "deep/tokenizer.json"]
      for file in files { #expect(try hash("back\(name)/\(file)") == hash("base/\(file)"), "\(file)") }
      let found = try FileManager.default.subpathsOfDirectory(atPath: bench.path("back" + name))
      #expect(found.count == files.count + 1)
    }
  }

  @Test("the undo file is small: under one bit a weight for bf16 and a delta of a hundredth")
  func size() throws {
    let rows = 256, columns = 512
    try bench.base([filler("a.weight", [rows, columns], .bf16, seed: 1)])
    let change = Change("lora_unet_a", rows, columns, rank: 4, size: 0.01 / 2)
    let result = try bench.bake([.init(path: bench.adapter([change]))], undo: "undo")
    let share = (result.total.deltaEnergy / Double(rows * columns)).squareRoot()
    #expect(abs(share - 0.01) <= 0.002)
    let file = try SafetensorsFile(path: bench.path("undo"))
    let residual = file.entries.filter { $0.name.hasPrefix("gaps") || $0.name.hasPrefix("values") }
    let bits = 8 * Double(residual.reduce(0) { $0 + $1.range.count }) / Double(rows * columns)
    #expect(bits > 0 && bits < 1, "\(bits) bits a weight")
    try bench.unbake()
    #expect(try hash("back.safetensors") == hash("base.safetensors"))
  }
}

extension Double {
  fileprivate func clamped(_ limit: Double) -> Double { Swift.min(Swift.max(self, -limit), limit) }
}
