import Checkpoints
import Factoring
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Audit

@Suite struct AuditSideTests {
  let sides: Sides, folder: TemporaryFolder

  init() throws { (sides, folder) = (try Sides(), try TemporaryFolder()) }

  @Test("a side is named after its files and strengths; a strength multiplies those of adapters only")
  func labels() throws {
    let stack = try sides.side(
      .init(path: Sides.adapter("lumi"), strength: 0.8),
      .init(path: Sides.adapter("sketch"), strength: 1, textEncoderStrength: 0))
    #expect(stack.label == "lumi 0.8 + sketch 1,0")
    #expect(stack.scaled(by: 0.5).label == "lumi 0.4 + sketch 0.5,0")
    #expect(stack.hasStrength)
    let checkpoint = try sides.side(.init(path: sides.base.path))
    #expect(checkpoint.label == "model" && !checkpoint.hasStrength && checkpoint.scaled(by: 0.5).label == "model")
  }

  @Test("weights of a side are the base's with its deltas; adapters on a checkpoint are added to that one's")
  func weights() throws {
    let input = AdapterInput(path: Sides.adapter("sketch"))
    let path = try sides.baked([input], dtype: .f32, in: folder)
    let name = sides.base.weightNames.first { $0.path.hasSuffix("attn1.to_q.weight") }!
    let shape = sides.base.weight(named: name)!.shape
    let once = try sides.side(input).weight(named: name, shape: shape).floats()
    let baked = try sides.side(.init(path: path)).weight(named: name, shape: shape).floats()
    #expect(once == baked)
    let base = try sides.base.weight(named: name, shape: shape).floats()
    let twice = try sides.side(.init(path: path), input).weight(named: name, shape: shape).floats()
    let error = zip(twice, zip(base, once)).map { Double($0 - ($1.1 + $1.1 - $1.0)) }
    #expect(Dense.norm(error) <= 1e-6 * Dense.norm(once.map(Double.init)))
  }

  @Test("weights rounded to 16 bits are those that the conversion of files makes")
  func rounded() throws {
    let side = try sides.side(.init(path: Sides.adapter("sketch")))
    for format in [DType.f16, .bf16] {
      let rounded = RoundedWeights(source: side, format: format)
      for name in sides.base.weightNames.filter({ $0.path.hasSuffix("to_k.weight") }).prefix(3) {
        let shape = sides.base.weight(named: name)!.shape
        let exact = try side.weight(named: name, shape: shape).doubles()
        let found = try rounded.weight(named: name, shape: shape)
        #expect(found.dtype == format)
        #expect(found.doubles() == Tensor(exact, shape: shape, dtype: format).doubles())
      }
    }
  }

  @Test("an embedding that came with an adapter is told: no picture of an audit has it")
  func embeddings() throws {
    let file = try SafetensorsFile(path: Sides.adapter("lumi"))
    let more = ["bundle_emb.wizard.string_to_param.*", "bundle_emb._aux.note"].map {
      ($0, Tensor([1, 2], shape: [1, 2], dtype: .f32))
    }
    let path = folder.file("lumi.safetensors")
    try writeTensors(file.entries.map { ($0.name, file[$0.name]!) } + more, to: path)
    let warnings = try sides.side(.init(path: path)).warnings.filter { $0.contains("bundle_emb") }
    #expect(warnings == ["\(path): bundle_emb.wizard.string_to_param.*: an embedding, which is not used"])
  }

  @Test("what makes no side is refused, each with its reason")
  func refusals() throws {
    func message(_ inputs: AdapterInput...) -> String {
      do {
        _ = try AuditSide(inputs, base: sides.base)
        return "none"
      } catch { return "\(error)" }
    }
    let model = sides.base.path
    #expect(message(.init(path: model), .init(path: model)).hasSuffix("expected one checkpoint on a side, found two"))
    #expect(
      message(.init(path: model, strength: 0.5)).hasSuffix(
        "expected no strength, which a checkpoint has not, found one"))
    #expect(message(.init(path: folder.file("none.safetensors"))).hasSuffix("no such file"))
    let foreign = folder.file("flux.safetensors")
    try writeAdapter(
      to: foreign,
      tensors: [
        filler("lora_unet_double_blocks_18_img_attn_qkv.lora_up.weight", [9216, 2]),
        filler("lora_unet_double_blocks_18_img_attn_qkv.lora_down.weight", [2, 3072]),
      ])
    #expect(
      message(.init(path: foreign)).contains("a Flux.1 adapter; the checkpoint is"), "\(message(.init(path: foreign)))")
  }

  @Test("a checkpoint of another model is refused when its weights are read")
  func otherModel() throws {
    let other = try sides.side(.init(path: Goldens.path("diffusion/sd1-pipeline")))
    let before = try sides.side(.init(path: Sides.adapter("sketch")))
    #expect(throws: AuditError.self) { try WeightComparison(before: before, after: other, threads: 1) }
  }
}
