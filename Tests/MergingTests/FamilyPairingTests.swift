import Adapters
import Checkpoints
import FoundationEssentials
import Spectra
import TestSupport
import Testing

@testable import Merging

/// Proves that one adapter is one adapter in whatever dialect it is written: for every family whose names have a map, it is
/// converted to each dialect, and then each pair must be equal, and half of one and half of another must be the adapter.
@Suite struct FamilyPairingTests {
  /// A tiny model of `Tests/Goldens/names/expected.json`, whose names are those of the real one.
  struct Model: Decodable, Sendable, CustomStringConvertible {
    let name: String
    let family: String
    let component: String
    let original: [String: [Int]]
    var description: String { name }
  }

  /// The width of a tiny model, and that of a real one: widths tell families apart.
  static let widths: [String: (tiny: Int, real: Int)] = [
    "sd15-unet": (0, 768), "sd2-unet": (0, 1024), "sdxl-unet": (0, 2048), "sdxl-refiner-unet": (0, 1280),
    "sd3": (8, 1536), "sd3.5-medium": (8, 1536), "flux1-dev": (16, 3072), "flux1-schnell": (16, 3072),
    "flux2": (16, 6144), "chroma": (16, 3072), "wan-t2v": (16, 1536), "wan-i2v": (16, 1536), "wan-vace": (16, 1536),
    "hunyuan-video": (16, 3072), "hunyuan-video-repacked": (16, 3072), "qwen-image": (16, 3072), "lumina2": (24, 2304),
    "z-image": (16, 3840), "ltx-video": (16, 2048), "ltx2": (16, 2048), "pixart-alpha": (16, 1152),
    "pixart-sigma": (16, 1152), "sana": (16, 2240), "sana-1.5": (16, 2240), "auraflow": (16, 3072),
    "cosmos-predict2": (16, 2048),
  ]

  static let models: [Model] = {
    struct Document: Decodable { let models: [Model] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("names/expected.json")).models
        .filter { widths[$0.name] != nil }
    } catch { fatalError("Tests/Goldens/names/expected.json: \(error)") }
  }()

  @Test("Every model of the goldens is here")
  func count() { #expect(Self.models.count == Self.widths.count) }

  /// An adapter in kohya's names for all modules of the model that have a matrix or a convolution.
  private func adapter(for model: Model, _ folder: TemporaryFolder) throws -> Adapter {
    let width = Self.widths[model.name]!
    func real(_ extent: Int) -> Int {
      width.tiny > 0 && extent != 256 && extent % width.tiny == 0 ? extent / width.tiny * width.real : extent
    }
    var pico = Pico(seed: 11)
    for (name, shape) in model.original.sorted(by: { $0.key < $1.key })
    where shape.count >= 2 && name.hasSuffix(".weight") && !name.contains("embedding") {
      let module = String(name.dropLast(".weight".count))
      let isContext = ["attn2.to_k", "attn2.to_v"].contains { module.hasSuffix($0) } && width.tiny == 0
      pico.add(
        "lora_unet_" + module.replacing(".", with: "_"), rows: real(shape[0]),
        inputs: isContext ? width.real : real(shape[1]), rank: 2, kernel: Array(shape.dropFirst(2)), alpha: 2)
    }
    return try pico.write(to: folder.file("kohya.safetensors"))
  }

  /// The adapter in all dialects, beginning with its own.
  private func dialects(of source: Adapter, _ folder: TemporaryFolder, _ name: String) throws -> [Adapter] {
    try [source]
      + [AdapterFormat.kohya, .diffusers, .native, .peft].filter { $0 != source.format }.map { format in
        let path = folder.file("\(name)-\(format.rawValue)\(format == .peft ? "" : ".safetensors")")
        return try Converting(ConvertRecipe(source.path, format), to: path).output
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
    #expect(source.family.rawValue == model.family)
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
          // HunyuanVideo's modules have two names in its authors' layout, and a merge may come to the other one.
          if model.name != "hunyuan-video-repacked" {
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
