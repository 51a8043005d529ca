import Adapters
import Checkpoints
import FoundationEssentials
import Models
import TestSupport
import Testing

/// Proves that real adapters of several trainers are read whole. Needs the adapters beside the repository.
@Suite struct SharedAdapterTests {
  struct Expectation: CustomTestStringConvertible, Sendable {
    let file: String
    let format: AdapterFormat
    let family: Family
    var targets = 0
    var rank = 4
    var testDescription: String { file }
  }

  static let expectations = [
    Expectation(file: "sd15_diffusers_processor_style.safetensors", format: .diffusers, family: .sd1, targets: 128),
    Expectation(file: "sd15_diffusers_pokemon.safetensors", format: .diffusers, family: .sd1, targets: 128),
    Expectation(file: "sd15_diffusers_unet_prefix.safetensors", format: .diffusers, family: .sd1, targets: 128),
    Expectation(file: "sd15_cloneofsimo_rank4.safetensors", format: .cloneofsimo, family: .sd1, targets: 144 + 48),
    Expectation(file: "sd2_cloneofsimo_list.pt", format: .cloneofsimo, family: .sd2, targets: 128),
    Expectation(file: "gpt2_peft_rank8", format: .peft, family: .languageModel, targets: 36, rank: 8),
    Expectation(file: "flux_partial_rank16.safetensors", format: .diffusers, family: .flux1, targets: 4, rank: 16),
    Expectation(file: "sd15_lycoris_lokr_16.safetensors", format: .kohya, family: .sd1, targets: 350, rank: 16),
    Expectation(file: "sd15_lycoris_lokr_8.safetensors", format: .kohya, family: .sd1, targets: 350, rank: 8),
  ]

  /// The adapter, or `nil` (and a line) where there are no adapters.
  private func adapter(_ file: String) throws -> Adapter? {
    guard let folder = sharedAdapters else {
      print("skipped: no shared/adapters beside the repository")
      return nil
    }
    return try Adapter(path: folder.appending(path: file).path())
  }

  @Test("format, family, targets and ranks are known", arguments: expectations)
  func reading(expected: Expectation) throws {
    guard let adapter = try adapter(expected.file) else { return }
    #expect(adapter.format == expected.format && adapter.family == expected.family)
    #expect(adapter.targets.count == expected.targets && adapter.unsupported.isEmpty)
    #expect(adapter.unknown.isEmpty)
    #expect(Set(adapter.targets.map(\.key)).count == adapter.targets.count)
    #expect(adapter.targets.allSatisfy { $0.storedRank == expected.rank })
    #expect(adapter.problems.allSatisfy { !$0.isFatal })
  }

  @Test("three spellings of Stable Diffusion's attention name the same targets")
  func sameTargets() throws {
    guard let old = try adapter("sd15_diffusers_processor_style.safetensors"),
      let new = try adapter("sd15_diffusers_unet_prefix.safetensors"),
      let numbered = try adapter("sd15_cloneofsimo_rank4.safetensors")
    else { return }
    let keys = Set(old.targets.map(\.key))
    #expect(keys == Set(new.targets.map(\.key)))
    #expect(keys.isSubset(of: numbered.targets.map(\.key)))
    // Numbers have no names to go by: the shapes must be those of the modules they are taken for.
    let shapes = Dictionary(uniqueKeysWithValues: old.targets.map { ($0.key, $0.shape) })
    for target in numbered.targets {
      if let shape = shapes[target.key] { #expect(target.shape == shape, "\(target.key)") }
    }
  }

  @Test("a language model's adapter is transposed and scaled by its configuration")
  func languageModel() throws {
    guard let adapter = try adapter("gpt2_peft_rank8") else { return }
    let fused = try #require(adapter.targets.first { $0.name.hasSuffix("h.0.attn.c_attn") })
    #expect(fused.isTransposed && fused.shape == [768, 2304] && fused.scale == 4 && fused.alpha == 32)
  }

  @Test("metadata that names another base is noticed")
  func wrongClaim() throws {
    guard let adapter = try adapter("flux_partial_rank16.safetensors") else { return }
    #expect(adapter.problems.map(\.description).contains("metadata says SD1.x, the shapes say Flux.1"))
  }

  @Test("tags come most frequent first")
  func tags() throws {
    guard let adapter = try adapter("sd15_lycoris_lokr_16.safetensors") else { return }
    let tags = TrainingMetadata(adapter).tags
    #expect(tags.count > 10 && tags.map(\.count) == tags.map(\.count).sorted(by: >))
  }
}
