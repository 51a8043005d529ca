import Adapters
import Checkpoints
import FoundationEssentials
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves what is refused, in which words, and that a refusal leaves the disk exactly as it was: no output, no
/// unfinished file, no folder, and what stood there before untouched.
@Suite struct RefusalTests {
  /// Runs what must fail and returns the error's text with the folder's path cut out.
  private func refusal(
    of recipe: RefactorRecipe, to name: String, in folder: TemporaryFolder, overwriting: Bool = false
  ) throws -> String {
    let before = try listing(folder)
    var text = "nothing was refused"
    do {
      _ = try Refactoring(recipe, to: folder.file(name), overwriting: overwriting)
    } catch { text = "\(error)".replacing(folder.path + "/", with: "") }
    #expect(try listing(folder) == before, "the disk is not as it was")
    return text
  }

  /// All files below the folder with their bytes.
  private func listing(_ folder: TemporaryFolder) throws -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
      var isFolder = false
      _ = FileManager.default.fileExists(atPath: folder.file(name), isDirectory: &isFolder)
      result[name] = isFolder ? [] : try folder.bytes(of: name)
    }
    return result
  }

  private func pair(_ folder: TemporaryFolder, _ change: (inout Pico, inout Pico) -> Void) throws -> [Adapter] {
    var a = Pico(seed: 1), b = Pico(seed: 2)
    change(&a, &b)
    return [try a.write(to: folder.file("a.safetensors")), try b.write(to: folder.file("b.safetensors"))]
  }

  @Test("Deltas of different shapes")
  func shapes() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 4, rank: 2)
    }
    let text = try refusal(of: .merge(adapters, [1, 1]), to: "m.safetensors", in: folder)
    #expect(text == "b.safetensors: lora_unet_a: shape: expected [6, 5] as in a.safetensors, found [6, 4]")
  }

  @Test("Kernels that only happen to have as many columns")
  func kernels() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 4, rank: 2, kernel: [3, 3])
      b.add("lora_unet_a", rows: 6, inputs: 36, rank: 2)
    }
    let text = try refusal(of: .merge(adapters, [1, 1]), to: "m.safetensors", in: folder)
    #expect(text == "b.safetensors: lora_unet_a: shape: expected [6, 4, 3, 3] as in a.safetensors, found [6, 36]")
  }

  @Test("Adapters of different families")
  func families() throws {
    let folder = try TemporaryFolder(), name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    let adapters = try pair(folder) { a, b in
      a.add(name, rows: 6, inputs: 768, rank: 2)
      b.add(name, rows: 6, inputs: 2048, rank: 2)
    }
    let text = try refusal(of: .merge(adapters, [1, 1]), to: "m.safetensors", in: folder)
    #expect(text == "b.safetensors: family: expected SD1.x as in a.safetensors, found SDXL")
  }

  @Test("Fused projections in one adapter and separate ones in the other, of a family that has no map")
  func fused() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_odd_0_attn_qkv", rows: 9, inputs: 36, rank: 2)
      b.add("lora_unet_odd_0_attn_to_q", rows: 3, inputs: 36, rank: 2)
    }
    let text = try refusal(of: .merge(adapters, [1, 1]), to: "m.safetensors", in: folder)
    #expect(
      text
        == "a.safetensors: lora_unet_odd_0_attn_qkv: expected all adapters to name the "
        + "attention's projections alike, found lora_unet_odd_0_attn_to_q beside it; "
        + "hint: merge adapters of one trainer's naming"
    )
  }

  @Test("Names that a format cannot spell")
  func names() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1])
    recipe.format = .diffusers
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    #expect(text == "a.safetensors: lora_unet_a: name: has no spelling in the diffusers format")
  }

  @Test("A format that would spell two targets alike")
  func ambiguous() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 1, .diffusers)
    pico.add("transformer.transformer_blocks.0.attn1.to_q", rows: 6, inputs: 5, rank: 2)
    pico.add("transformer_2.transformer_blocks.0.attn1.to_q", rows: 6, inputs: 5, rank: 2)
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    #expect(Set(adapter.targets.map(\.key.component)) == [.denoiser, .denoiser2])
    var recipe = RefactorRecipe.merge([adapter], [1])
    recipe.format = .native
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    #expect(
      text
        == "a.safetensors: diffusion_model.transformer_blocks.0.attn1.to_q: name: has no spelling in the "
        + "native format")
  }

  @Test("Eight bits where no alpha can scale them")
  func noAlpha() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 1, .diffusers)
    pico.add("unet.mid_block.attentions.0.proj_in", rows: 6, inputs: 5, rank: 2)
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    var recipe = RefactorRecipe.merge([adapter], [1])
    recipe.dtype = .f8e4m3
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    #expect(
      text
        == "a.safetensors: F8_E4M3 factors need an alpha to scale them, and the diffusers names have none"
    )
  }

  @Test("Nothing that would be left", arguments: [1.0, 0])
  func nothingLeft(strength: Double) throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    }
    let text = try refusal(
      of: .merge([adapters[0], adapters[0]], [strength, -strength]), to: "m.safetensors", in: folder)
    #expect(text == "a.safetensors: no component is left: every delta is zero")
  }

  @Test("A size that no choice of ranks fits", arguments: [1, 500])
  func tooSmall(limit: Int) throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 60, inputs: 50, rank: 2)
      b.add("lora_unet_a", rows: 60, inputs: 50, rank: 2)
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1], .size(.init(limit)))
    recipe.keepsAllTargets = true
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    // What it asks for is enough, and a byte less is not.
    let words = text.split(separator: " "), smallest = try #require(Int(words[words.firstIndex(of: "least")! + 1]))
    #expect(
      text
        == "a.safetensors: size: expected at least \(smallest) bytes (\(ByteCount(smallest))), found a limit of "
        + "\(limit) bytes"
    )
    // The limit stands in the recipe in the metadata, so a longer number makes the file longer.
    let room = smallest + 8
    recipe.rule = .size(.init(room))
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    #expect(run.result.bytes <= room)
    #expect(run.output.targets[0].rank == 1)
  }

  @Test("An error that rounding alone exceeds")
  func unreachable() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1], .maxError(0.001))
    recipe.dtype = .bf16
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    #expect(text == "a.safetensors: max-error: expected at least 0.002734 in BF16, found 0.001")
  }

  @Test("Values that do not fit the number format", arguments: ["m.safetensors", "existing.safetensors"])
  func overflow(name: String) throws {
    let folder = try TemporaryFolder()
    try folder.write([1, 2, 3], to: "existing.safetensors")
    let adapters = try pair(folder) { a, b in
      for index in 0..<5 { a.add("lora_unet_\(index)", rows: 6, inputs: 5, rank: 2, size: index == 3 ? 1e12 : 1) }
      b.add("lora_unet_0", rows: 6, inputs: 5, rank: 2)
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1])
    recipe.dtype = .f16
    let text = try refusal(of: recipe, to: name, in: folder, overwriting: true)
    #expect(text == "\(name): lora_unet_3: a value is too large for F16")
  }

  @Test("Numbers that are not finite")
  func notFinite() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.change("lora_unet_a.lora_down.weight") { $0[3] = .infinity }
    }
    let text = try refusal(of: .merge(adapters, [1, 1]), to: "m.safetensors", in: folder)
    #expect(text == "b.safetensors: lora_unet_a: down: expected finite values, found 1 NaN or infinite")
  }

  @Test("Different tensors of one name beside the targets")
  func conflict() throws {
    let folder = try TemporaryFolder()
    func adapters(_ value: Double) throws -> [Adapter] {
      try pair(folder) { a, b in
        a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
        b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
        a.add("bundle_emb.token.string_to_param.*", [2, 3], .f16, [1, 2, 3, 4, 5, 6])
        b.add("bundle_emb.token.string_to_param.*", [2, 3], .f16, [1, 2, 3, 4, 5, value])
      }
    }
    let text = try refusal(of: .merge(adapters(7), [1, 1]), to: "m.safetensors", in: folder)
    #expect(
      text == "b.safetensors: bundle_emb.token.string_to_param.*: the adapters have different tensors of this name")
    let run = try Refactoring(.merge(adapters(6), [1, 1]), to: folder.file("m.safetensors"))
    #expect(run.output.passedThrough.map { $0.tensor.doubles() } == [[1, 2, 3, 4, 5, 6]])
    #expect(run.result.bytes == run.output.byteCount)
  }

  @Test("Unknown tensors, unless they may be left out")
  func unknown() throws {
    let folder = try TemporaryFolder()
    let adapters = try pair(folder) { a, b in
      a.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
      b.add("mystery", [2], .f32, [1, 2])
    }
    var recipe = RefactorRecipe.merge(adapters, [1, 1])
    let text = try refusal(of: recipe, to: "m.safetensors", in: folder)
    #expect(text == "b.safetensors: mystery: name: expected a known adapter tensor, found this one")
    recipe.allowsUnknown = true
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    #expect(run.plan.skipped == ["\(adapters[1].path): mystery"])
    #expect(run.output.unknown.isEmpty)
  }
}
