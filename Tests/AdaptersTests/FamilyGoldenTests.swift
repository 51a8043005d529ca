import Checkpoints
import FoundationEssentials
import Models
import TestSupport
import Testing

@testable import Adapters

/// Proves on the true modules of real models, some fifty of them, that each family is known by its names and shapes in both
/// dialects, and that no model is taken for another one: with all modules, with those of blocks, and with attention only.
@Suite struct FamilyGoldenTests {
  @Test("a model's modules are its family's", arguments: FamilyGolden.all.filter { $0.family != nil })
  func ownFamily(golden: FamilyGolden) {
    // Anima was made from it, and has all of its names and widths.
    let isShared = golden.name == "cosmos-predict2-2b"
    for modules in [golden.diffusers] + (golden.original.map { [$0] } ?? []) {
      for part in [modules, modules.filter { $0.name.contains("block") || $0.name.contains("layer") }] {
        #expect(candidates(part).map(\.name) == (isShared ? ["Anima"] : []) + [golden.family!])
      }
    }
  }

  @Test("a model is never taken for another one", arguments: FamilyGolden.all)
  func noOtherFamily(golden: FamilyGolden) {
    let parts: [(String, (String) -> Bool)] = [
      ("all modules", { _ in true }), ("attention", { $0.contains("attn") || $0.contains("attention") }),
      ("the first block", { $0.contains(".0.") }),
      ("queries and keys", { $0.hasSuffix("to_q") || $0.hasSuffix("to_k") || $0.hasSuffix("q_proj") }),
      ("perceptrons", { $0.contains("mlp") || $0.contains("ff") || $0.contains("feed_forward") }),
    ]
    // Their blocks are those of the other, name for name and number for number.
    let kin = [
      "BriaFiboTransformer2DModel": "Flux.1", "chroma": "Flux.1", "longcat-image": "Flux.1",
      "SanaVideoTransformer3DModel": "Sana",
    ]
    for (name, isPart) in parts {
      for modules in [golden.diffusers] + (golden.original.map { [$0] } ?? []) {
        let part = modules.filter { isPart($0.name) }
        guard !part.isEmpty else { continue }
        let found = family(part)
        #expect(
          found == .unknown || found.name == golden.family || found.name == kin[golden.name],
          "\(name): \(found)")
      }
    }
  }

  private func family(_ modules: [FamilyGolden.Module]) -> Family {
    let found = candidates(modules)
    return found.count == 1 ? found[0] : .unknown
  }

  private func candidates(_ modules: [FamilyGolden.Module]) -> [Family] {
    Family.candidates(
      modules.map {
        FamilyClue(
          key: AdapterFormat.diffusers.dialect.key(of: "transformer." + $0.name), inputs: $0.shape[1],
          rows: $0.shape[0])
      }, isOfDenoiser: true)
  }
}
