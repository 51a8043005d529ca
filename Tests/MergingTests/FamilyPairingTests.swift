import Adapters
import Checkpoints
import Converting
import FoundationEssentials
import Models
import Spectra
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that one adapter is one adapter in whatever dialect it is written: for every family whose names have a map, it is
/// converted to each dialect, and then each pair must be equal, and half of one and half of another must be the adapter.
@Suite struct FamilyPairingTests {
  /// Modules of a real model, in its authors' names.
  struct Model: Sendable, CustomStringConvertible {
    let name: String
    let family: String
    let modules: [FamilyGolden.Module]
    var description: String { name }
    var isUNet: Bool { name.hasSuffix("-unet") }
  }

  static let models =
    FamilyGolden.all.compactMap { golden in
      golden.original.flatMap { modules in golden.family.map { Model(name: golden.name, family: $0, modules: modules) }
      }
    } + unets

  /// UNets are those of `Tests/Goldens/names/expected.json`: tiny, but for the width of the texts, which tells the family.
  private static let unets: [Model] = {
    struct Document: Decodable {
      struct Model: Decodable {
        let name: String
        let family: String
        let original: [String: [Int]]
      }
      let models: [Model]
    }
    let widths = ["sd15-unet": 768, "sd2-unet": 1024, "sdxl-unet": 2048, "sdxl-refiner-unet": 1280]
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("names/expected.json")).models.compactMap {
        model in
        guard let width = widths[model.name] else { return nil }
        let weights = model.original.filter { $1.count >= 2 && $0.hasSuffix(".weight") }.sorted { $0.key < $1.key }
        return Model(
          name: model.name, family: model.family,
          modules: weights.map { name, shape in
            let module = String(name.dropLast(".weight".count))
            let readsTexts = ["attn2.to_k", "attn2.to_v"].contains { module.hasSuffix($0) }
            return FamilyGolden.Module(name: module, shape: readsTexts ? [shape[0], width] : shape)
          })
      }
    } catch { fatalError("Tests/Goldens/names/expected.json: \(error)") }
  }()

  @Test("Every family with a map is here")
  func count() {
    let families = Set(Self.models.map(\.family))
    #expect(families.count >= 32, "\(families.sorted())")
  }

  /// An adapter of rank 1 in kohya's names, for the modules of the first and last blocks.
  private func adapter(for model: Model, _ folder: TemporaryFolder) throws -> Adapter {
    func place(_ name: String) -> (row: String, number: Int)? {
      let words = name.split(separator: ".")
      guard !model.isUNet, let index = words.firstIndex(where: { Int($0) != nil }) else { return nil }
      return (words[..<index].joined(separator: "."), Int(words[index])!)
    }
    var last: [String: Int] = [:]
    for case let (row, number)? in model.modules.map({ place($0.name) }) { last[row] = max(last[row] ?? 0, number) }
    var pico = Pico(seed: 11)
    for module in model.modules where place(module.name).map({ $0.number == 0 || $0.number == last[$0.row] }) ?? true {
      pico.add(
        "lora_unet_" + module.name.replacing(".", with: "_"), rows: module.shape[0], inputs: module.shape[1], rank: 1,
        kernel: Array(module.shape.dropFirst(2)), alpha: 1)
    }
    return try pico.write(to: folder.file("kohya.safetensors"))
  }

  /// The adapter in all dialects, beginning with its own.
  private func dialects(of source: Adapter, _ folder: TemporaryFolder, _ name: String) throws -> [Adapter] {
    try [source]
      + [AdapterFormat.kohya, .diffusers, .native, .peft].filter { $0 != source.format }.map { format in
        let path = folder.file("\(name)-\(format.rawValue)\(format == .peft ? "" : ".safetensors")")
        _ = try ConvertPlan(ConvertRecipe(path: source.path, format: format)).write(
          to: path, overwriting: false, threads: 2)
        return try Adapter(path: path)
      }
  }

  /// Whether B is A, to the last digits of single precision.
  private func expectSame(_ a: Adapter, _ b: Adapter, _ what: String) throws {
    let comparison = try Comparison(a, b, threads: 1)
    #expect(comparison.relativeError <= 1e-6, "\(what)")
    #expect((comparison.cosine ?? 0) >= 1 - 1e-6, "\(what)")
    let odd = comparison.entries.filter { $0.presence != .both }
    #expect(odd.isEmpty, "\(what): \(odd.map(\.name).prefix(3))")
  }

  @Test("Each pair of dialects is equal, and half of each is the adapter", arguments: models)
  func pairs(model: Model) throws {
    let folder = try TemporaryFolder()
    let source = try adapter(for: model, folder)
    // Anima was made from Cosmos-Predict2, and has all of its names.
    #expect(source.family.name == model.family || source.candidates.map(\.name) == ["Anima", model.family])
    var cells = 0
    // Projections that were trained as one, and such as were trained in parts.
    let written = try dialects(of: source, folder, "fused")
    let split = try #require(written.first { $0.format == .diffusers })
    let copy = folder.file("split.safetensors")
    try FileManager.default.copyItem(atPath: split.path, toPath: copy)
    for adapters in [written, try dialects(of: try Adapter(path: copy), folder, "split")] {
      for (i, a) in adapters.enumerated() {
        for b in adapters[i...] {
          let what = "\(model.name): \(a.format) and \(b.format)"
          try expectSame(a, b, what)
          let isFolder = a.format == .peft && b.format == .peft
          let merged = try Refactoring(
            .merge([a, b], [0.5, 0.5]), to: folder.file("merged\(cells)\(isFolder ? "" : ".safetensors")")
          ).output
          try expectSame(adapters[0], merged, what + ", merged")
          let like = try #require(adapters.first { $0.format == merged.format }, "\(what)")
          #expect(merged.targets.count == like.targets.count, "\(what), merged")
          // Modules of HunyuanVideo and of UNets have two names in kohya's dialect, and a merge may come to the other one.
          if model.family != "HunyuanVideo", !model.isUNet {
            #expect(Set(merged.targets.map(\.name)) == Set(like.targets.map(\.name)), "\(what), merged")
          }
          cells += 1
        }
      }
    }
    #expect(cells == 20)
    print("\(model.name): \(source.targets.count) modules, \(cells) pairs of dialects compared and merged")
  }
}
