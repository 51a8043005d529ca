import FoundationEssentials
import Models
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Adapters
@testable import Baking

/// PEFT's smaller types against PEFT's own merge; see `Tests/Goldens/tuners`.
@Suite struct TunerGoldenTests {
  private struct Document: Decodable {
    let cases: [String: String]
    let types: [String]
  }

  private static let document: Document = {
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("tuners/types.json"))
    } catch { fatalError("Tests/Goldens/tuners/types.json: \(error)") }
  }()

  static let cases = document.cases.keys.sorted()

  /// The parameters that PEFT changed, with what they were.
  private func expected(_ name: String) throws -> [(parameter: String, before: [Double], after: [Double])] {
    let base = try SafetensorsFile(path: Goldens.path("tuners/base.safetensors"))
    let merged = try SafetensorsFile(path: Goldens.path("tuners/expected.safetensors"))
    return try merged.entries.filter { $0.name.hasPrefix(name + "/") }.map { entry in
      let parameter = String(entry.name.dropFirst(name.count + 1))
      let before = base.tensor(base.entries[try #require(base.index(of: parameter))])
      return (parameter, before.doubles(), merged.tensor(entry).doubles())
    }
  }

  @Test("a bake of each type is PEFT's own merge", arguments: cases)
  func bakes(_ name: String) throws {
    let bench = try Bench(), path = Goldens.path("tuners/base.safetensors"), expected = try expected(name)
    for strength in [1, 0.5] {
      let output = bench.path("\(strength).safetensors")
      let recipe = BakeRecipe(
        base: path, inputs: [.init(path: Goldens.path("tuners/\(name)"), strength: strength)], dtype: .f32)
      _ = try BakePlan(recipe).write(to: output, undo: nil, overwriting: false, threads: 1, progress: nil)
      let result = try SafetensorsFile(path: output), base = try SafetensorsFile(path: path)
      let changed = base.entries.filter {
        base.tensor($0).doubles() != result.tensor(result.entries[result.index(of: $0.name)!]).doubles()
      }
      #expect(Set(changed.map(\.name)) == Set(expected.map(\.parameter)))
      for (parameter, before, after) in expected {
        let found = result.tensor(result.entries[try #require(result.index(of: parameter))]).doubles()
        let wanted = zip(before, after).map { $0 + strength * ($1 - $0) }
        let size = max(Dense.norm(zip(after, before).map { $0 - $1 }), 1e-2 * Dense.norm(before))
        let error = Dense.norm(zip(found, wanted).map { $0 - $1 }) / size
        #expect(error <= 1e-5, "\(parameter) at \(strength): \(error)")
      }
    }
  }

  @Test(
    "deltas of types that need no base are PEFT's",
    arguments: ["delora", "gralora", "c3a", "vblora", "tinylora", "bdlora"])
  func products(_ type: String) throws {
    for name in Self.cases where name == type || name.hasPrefix(type + "-") {
      let adapter = try Adapter(path: Goldens.path("tuners/\(name)"))
      #expect(adapter.dependents.isEmpty && adapter.problems.allSatisfy { !$0.isFatal })
      let targets = adapter.targets.map { target in (target.key, target) }
      for (parameter, before, after) in try expected(name) {
        let path = parameter.dropLast(".weight".count).replacing(".", with: "_")
        let target = try #require(targets.first { $0.0.path == path }?.1, "\(parameter)")
        let wanted = zip(after, before).map { $0 - $1 },
          size = target.isTransposed ? (target.rows, target.columns) : (1, 1)
        let product = target.product()
        let found = size.0 > 1 ? product.transposed(rows: size.0, columns: size.1) : product
        let error = Dense.norm(zip(found, wanted).map { $0 - $1 }) / Dense.norm(wanted)
        // PEFT makes logits of such shares again, in single precision.
        #expect(error <= (name == "vblora-few" ? 1e-7 : 1e-12), "\(name), \(parameter): \(error)")
      }
    }
  }

  @Test("every type of PEFT's is read, or refused by name with a reason")
  func types() throws {
    let read: Set<String> = [
      "LORA", "ADALORA", "BOFT", "OFT", "IA3", "HRA", "LOHA", "LOKR", "VERA", "LN_TUNING",
    ]
    for type in Self.document.types where !read.contains(type) {
      let isRead = StoredAlgorithm.all.contains { $0.type == type }
      #expect(!isRead || Self.document.cases.values.contains(type), "\(type) has no golden")
      guard !isRead else { continue }
      let adapter = try Adapter(
        tensors: [("base_model.model.a.odd_part", Tensor([1, 2], shape: [2], dtype: .f32))],
        configuration: .object(["peft_type": .string(type)]))
      #expect(adapter.unsupported.count == 1 && adapter.unknown.isEmpty, "\(type)")
      let problem = try #require(adapter.problems.first { $0.isFatal }, "\(type)")
      #expect(
        problem.description.contains(": ") && problem.description.contains("it ")
          || problem.description.contains("the file"), "\(type): \(problem)")
    }
  }
}
