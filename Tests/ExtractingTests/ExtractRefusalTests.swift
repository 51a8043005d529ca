import Checkpoints
import Tensors
import TestSupport
import Testing

@testable import Extracting
@testable import Factoring

/// Checkpoints that no adapter can be made of, and what is said about them.
@Suite struct ExtractRefusalTests {
  private let folder: TemporaryFolder
  private let fixture = ExtractFixture.unet(seed: 83, rank: 2)
  private let base: String

  init() throws {
    folder = try TemporaryFolder()
    base = try fixture.folder("base", tuned: false, .f32, in: folder)
  }

  private func refusal(
    of changed: ExtractFixture, allowsUnmatched: Bool = false, rule: ExtractRecipe.Rule = .ranks(.rank(2, conv: nil))
  ) throws -> String? {
    let tuned = try changed.folder("tuned", tuned: true, .f32, in: folder)
    let recipe = ExtractRecipe(base: base, tuned: tuned, rule: rule, allowsUnmatched: allowsUnmatched)
    do {
      _ = try ExtractFixture.extract(recipe, to: folder.file("out.safetensors"))
      return nil
    } catch { return "\(error)" }
  }

  @Test("another shape")
  func shape() throws {
    var changed = fixture
    changed.weights[3].shape = [12, 48]
    let message = try #require(try refusal(of: changed))
    #expect(message.hasSuffix("attn1.to_q.weight: shape: expected [24, 24] as in \(base), found [12, 48]"))
    #expect(message.hasPrefix("\(folder.path)/tuned: denoiser.down_blocks"))
    #expect(try folder.names.sorted() == ["base", "tuned"])
  }

  @Test("NaN and infinity", arguments: [Double.nan, .infinity])
  func notFinite(_ value: Double) throws {
    for weight in [1, 6] {
      var changed = fixture
      changed.weights[weight].tuned[7] = value
      let message = try #require(try refusal(of: changed))
      #expect(message.contains("/tuned: denoiser."))
      #expect(message.hasSuffix("expected finite numbers, found 1 that are NaN or infinite"))
    }
    #expect(try folder.names.sorted() == ["base", "tuned"])
  }

  @Test("a weight that only one of them has")
  func unmatched() throws {
    var changed = fixture
    changed.weights.removeLast()
    changed.add("conv_out.weight", [8, 4, 3, 3], rank: 1)
    let message = try #require(try refusal(of: changed))
    #expect(message.contains("attn1.to_v.weight: only in \(base) (and 1 more)"))
    let tuned = folder.file("tuned")
    let result = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: .auto, allowsUnmatched: true), to: folder.file("out.safetensors"))
    #expect(result.skipped.count == 2)
    #expect(result.skipped.contains { $0 == "denoiser.conv_out.weight: only in \(tuned)" })
  }

  @Test("a changed module that the family has not")
  func unknownModule() throws {
    // Of a module that stays as it is nobody asks the name.
    var both = fixture
    both.add("time_embedding.cond_proj.weight", [24, 8], rank: 0)
    _ = try both.folder("base", tuned: false, .f32, in: folder)
    let tuned = try both.folder("tuned", tuned: true, .f32, in: folder)
    let rule = ExtractRecipe.Rule.ranks(.rank(2, conv: nil))
    let whole = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: rule), to: folder.file("whole.safetensors"))
    #expect(whole.skipped.isEmpty)
    both.add("down_blocks.0.attentions.0.fuser.weight", [24, 24], rank: 2)
    _ = try both.folder("base", tuned: false, .f32, in: folder)
    let message = try #require(try refusal(of: both)), name = "denoiser.down_blocks.0.attentions.0.fuser.weight"
    let reason = "no module of this name is known in SD1.x"
    #expect(
      message == "\(tuned): \(name): name: expected one that the kohya dialect has, found none: \(reason)")
    let result = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: rule, allowsUnmatched: true),
      to: folder.file("out.safetensors"))
    #expect(result.skipped == ["\(name): \(reason)"])
  }

  @Test("checkpoints that do not differ")
  func equal() throws {
    var changed = fixture
    for index in changed.weights.indices { changed.weights[index].tuned = changed.weights[index].base }
    let message = try #require(try refusal(of: changed))
    #expect(message.hasSuffix("expected weights that differ from the base, found no difference beyond rounding"))
  }

  @Test("an output that exists is not replaced, and nothing is left beside it")
  func exists() throws {
    try folder.write([1, 2, 3], to: "out.safetensors")
    let message = try #require(try refusal(of: fixture))
    #expect(message.contains("exists"))
    #expect(try folder.bytes(of: "out.safetensors") == [1, 2, 3])
    #expect(try folder.names.sorted() == ["base", "out.safetensors", "tuned"])
  }

  @Test("a changed VAE is named, not forgotten")
  func vae() throws {
    let names = [
      "first_stage_model.decoder.conv_in.weight", "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
    ]
    for (file, seed) in [("a.safetensors", UInt64(1)), ("b.safetensors", 2)] {
      try writeAdapter(
        to: folder.file(file), tensors: names.map { filler($0, [16, 8, 3, 3], seed: seed) })
    }
    let result = try ExtractFixture.extract(
      ExtractRecipe(
        base: folder.file("a.safetensors"), tuned: folder.file("b.safetensors"), rule: .ranks(.rank(4, conv: nil))),
      to: folder.file("out.safetensors"))
    #expect(result.skipped == ["vae.decoder.conv_in.weight: an adapter cannot change a VAE"])
    #expect(result.entries.count == 1)
  }

  @Test("another family")
  func family() throws {
    let other = ExtractFixture.unet(seed: 89, rank: 1)
    var wide = other
    wide.weights.removeAll { $0.name.contains("attn2.to_k") }
    wide.add(ExtractFixture.block + "attn2.to_k.weight", [24, 2048], rank: 1)
    let message = try #require(try refusal(of: wide))
    #expect(message.contains("family: expected SD1.x as in \(base), found SDXL"))
  }
}
