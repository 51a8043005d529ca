import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

/// What the tool bakes is what diffusers and PEFT fuse, or dense float64 algebra where they cannot be asked; see
/// `Tests/Goldens/bake/make.py`. The same in every layout of the base.
@Suite struct BakeGoldenTests {
  private static let golden = BakeGolden.all

  /// A baked checkpoint beside its base.
  private struct Baked {
    let layout: BakeLayout
    let base: Checkpoint
    let result: Checkpoint
    let weights: [String: [Double]]
  }

  private func bake(_ item: BakeGolden.Case, as layout: BakeLayout, in folder: TemporaryFolder) throws -> Baked? {
    let golden = Self.golden
    guard let base = try golden.writeBase(item.model, dtype: DType(rawValue: item.dtype)!, as: layout, in: folder)
    else { return nil }
    let output = folder.file(base.hasSuffix(".safetensors") ? "baked.safetensors" : "baked")
    let adapters = try item.adapters.map { use in
      let strengths = use.strengths.map { "\($0)" }.joined(separator: ",")
      return "\(try golden.writeAdapterFile(use.adapter, in: folder))@\(strengths)"
    }
    let run = try Tool.run(["bake", base] + adapters + ["-o", output, "--json", "--quiet"])
    try #require(run.status == 0, "\(layout.rawValue): \(run.errors)")
    #expect((run.json["skipped"] as? [Any])?.isEmpty == true, "\(run.json["skipped"] ?? "no list of what was skipped")")
    let result = try Checkpoint(path: output)
    let files = try result.files.map { ($0.relativePath, try #require($0.contents.safetensors)) }
    return Baked(
      layout: layout, base: try Checkpoint(path: base), result: result,
      weights: golden.weights(of: item.model, in: layout, files: files))
  }

  @Test("as the library fuses", arguments: golden.cases)
  func fused(_ item: BakeGolden.Case) throws {
    let dtype = DType(rawValue: item.dtype)!
    var folderWeights: [String: [Double]] = [:]
    for layout in BakeLayout.allCases {
      let folder = try TemporaryFolder()
      guard let baked = try bake(item, as: layout, in: folder) else { continue }
      expectWeights(of: baked, item)
      try expectNothingElseChanged(in: baked, item)
      if layout == .folder { folderWeights = baked.weights }
      for (name, weight) in baked.weights {
        expectEqual(weight, try #require(folderWeights[name]), dtype, "\(layout.rawValue): \(name)")
      }
    }
  }

  /// The weight is the folder's, whatever the layout. In single precision the last place may differ: a matrix product
  /// of more rows, or of a transposed weight, adds in another order.
  private func expectEqual(_ weight: [Double], _ folders: [Double], _ dtype: DType, _ name: String) {
    let limit = dtype == .f32 ? 0x1p-24 : 0
    let far = zip(weight, folders).count { !(abs($0 - $1) <= limit * max(abs($1), 1)) }
    #expect(far == 0 && weight.count == folders.count, "\(name): \(far) elements are not those of the folder")
  }

  /// Every weight of the golden, against the library's.
  private func expectWeights(of baked: Baked, _ item: BakeGolden.Case) {
    let dtype = DType(rawValue: item.dtype)!, model = Self.golden.models[item.model]!
    var seen = 0
    for network in model.networks {
      for weight in network.weights {
        let name = "\(network.folder)/\(weight.name)"
        guard let ours = baked.weights[name] else {
          #expect(baked.layout == .original, "\(baked.layout.rawValue): \(name) is missing")
          continue
        }
        let base = Self.golden.values(of: weight, in: network, model: item.model, dtype: dtype)
        guard let expected = item.changed[name] else {
          let isBase = ours == base
          #expect(isBase, "\(baked.layout.rawValue): \(name) was to stay as it is")
          continue
        }
        seen += 1
        expect(ours, base: base, expected, dtype: dtype, gap: item.gap, "\(baked.layout.rawValue): \(name)")
      }
    }
    #expect(seen == item.changed.count, "\(baked.layout.rawValue): \(seen) of \(item.changed.count) weights")
  }

  private func expect(
    _ ours: [Double], base: [Double], _ expected: BakeGolden.Change, dtype: DType, gap: Double, _ name: String
  ) {
    // Single-precision products of the factors, and the one rounding.
    let rounding = 0x1p-22
    var largest = gap + rounding
    for (k, value) in expected.sample.enumerated() {
      let place = BakeGolden.place(k, in: ours.count), own = ours[place]
      var limit = gap + rounding * max(abs(value), 1)
      if let exact = expected.exact?[k] {
        // Rounded once: the nearest number of the format, or next to it where the sum lies between two.
        let nearest = Tensor([exact], shape: [1], dtype: dtype).doubles()[0], half = abs(nearest - exact)
        #expect(abs(own - exact) <= half + rounding, "\(name)[\(place)]: \(own), before rounding \(exact)")
        limit += half
      }
      #expect(abs(own - value) <= limit, "\(name)[\(place)]: \(own), expected \(value)")
      largest = max(largest, limit)
    }
    if dtype != .f32 { largest += 2 * dtype.unitRoundoff! }
    let spread = 4 * largest * Double(ours.count).squareRoot()
    let sum = ours.reduce(0, +), norm = Dense.norm(zip(ours, base).map { $0 - $1 })
    #expect(abs(sum - expected.sum) <= spread, "\(name): sum \(sum), expected \(expected.sum)")
    #expect(abs(norm - expected.norm) <= spread, "\(name): norm of the change \(norm), expected \(expected.norm)")
  }

  /// Files, names, order, formats and shapes are the base's, and so is every byte of tensors without a target.
  private func expectNothingElseChanged(in baked: Baked, _ item: BakeGolden.Case) throws {
    #expect(baked.result.files.map(\.relativePath).count == baked.base.files.count)
    #expect(baked.result.companions == baked.base.companions)
    let touched = touchedTensors(item, in: baked.layout)
    for (new, old) in zip(baked.result.files, baked.base.files) {
      if baked.base.isFolder { #expect(new.relativePath == old.relativePath) }
      #expect(new.contents.entries.map(\.name) == old.contents.entries.map(\.name))
      for (entry, before) in zip(new.contents.entries, old.contents.entries) where entry.name == before.name {
        #expect(entry.dtype == before.dtype && entry.shape == before.shape, "\(entry.name)")
        let isEqual = new.contents.tensor(entry).bytes.withUnsafeBytes { bytes in
          old.contents.tensor(before).bytes.withUnsafeBytes { bytes.elementsEqual($0) }
        }
        let folder = old.relativePath.split(separator: "/").dropLast().joined(separator: "/")
        let name = baked.layout == .original ? entry.name : "\(folder)/\(entry.name)"
        #expect(isEqual != touched.contains(name), "\(baked.layout.rawValue): \(name)")
      }
      let metadata = Dictionary(uniqueKeysWithValues: new.contents.metadata.map { ($0.key, $0.value) })
      for (key, value) in old.contents.metadata { #expect(metadata[key] == value, "metadata \(key)") }
    }
    guard baked.base.isFolder else { return }
    for companion in baked.base.companions {
      #expect(
        FileManager.default.contentsEqual(
          atPath: "\(baked.result.path)/\(companion)", andPath: "\(baked.base.path)/\(companion)"), "\(companion)")
    }
  }

  /// Stored tensors in which some weight of the golden lies.
  private func touchedTensors(_ item: BakeGolden.Case, in layout: BakeLayout) -> Set<String> {
    guard layout == .original else { return Set(item.changed.keys) }
    var names: Set<String> = []
    for network in Self.golden.models[item.model]!.networks {
      for original in network.original ?? [] {
        let parts = original.parts.map { "\(network.folder)/\(network.weights[$0].name)" }
        if parts.contains(where: { item.changed[$0] != nil }) { names.insert(network.prefix! + original.name) }
      }
    }
    return names
  }
}
