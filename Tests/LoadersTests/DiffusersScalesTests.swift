import Adapters
import FoundationEssentials
import TestSupport
import Testing

@testable import Loaders

/// Proves what is said about diffusers' scales of kohya's files, against what diffusers did (`Tests/Goldens/loaders`).
@Suite struct DiffusersScalesTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    /// `[name, rank, shape, alpha, scale]`
    struct Module: Decodable, Sendable {
      let name: String
      let rank: Int
      let shape: [Int]
      let alpha: Double?
      let scale: Double?

      init(from decoder: any Decoder) throws {
        var row = try decoder.unkeyedContainer()
        name = try row.decode(String.self)
        rank = try row.decode(Int.self)
        shape = try row.decode([Int].self)
        alpha = try row.decodeIfPresent(Double.self)
        scale = try row.decodeIfPresent(Double.self)
      }
    }

    let name: String
    /// What the metadata says of the base.
    let base: String
    let error: String?
    let modules: [Module]
    var testDescription: String { name }

    /// The file that diffusers was given, but for the values: data in the order of the modules, and the header backwards.
    func file() -> [UInt8] {
      var data: [UInt8] = [], entries: [String] = []
      func add(_ name: String, _ shape: [Int], _ values: [Float]) {
        let begin = data.count
        for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data += $0 } }
        entries.append(
          "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],\"data_offsets\":[\(begin),\(data.count)]}"
        )
      }
      for module in modules {
        let ends = module.shape.dropFirst(2)
        let down = [module.rank] + module.shape.dropFirst(), up = [module.shape[0], module.rank] + ends.map { _ in 1 }
        add(module.name + ".lora_down.weight", down, [Float](repeating: 0, count: down.reduce(1, *)))
        add(module.name + ".lora_up.weight", up, [Float](repeating: 0, count: up.reduce(1, *)))
        if let alpha = module.alpha { add(module.name + ".alpha", [], [Float(alpha)]) }
      }
      entries.append("\"__metadata__\":{\"ss_base_model_version\":\"\(base)\"}")
      return RawSafetensors(header: "{" + entries.reversed().joined(separator: ",") + "}", data: data).bytes
    }
  }

  private struct Golden: Decodable { let cases: [Case] }
  static let cases: [Case] = {
    do {
      return try JSONDecoder().decode(Golden.self, from: Goldens.data("loaders/expected.json")).cases
    } catch { fatalError("Tests/Goldens/loaders/expected.json: \(error)") }
  }()

  @Test("Every scale is the one that diffusers applied", arguments: cases)
  func scales(_ golden: Case) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try Data(golden.file()).write(to: URL(filePath: path))
    let adapter = try Adapter(path: path)
    try #require(adapter.targets.count == golden.modules.count)
    let rows = LoaderScales(of: adapter).rows
    let found = Dictionary(uniqueKeysWithValues: rows.map { ($0.target, $0.scales[.diffusers]) })
    for module in golden.modules {
      let scale = try #require(found[module.name])
      #expect(scale == module.scale, "\(module.name), alpha \(module.alpha as Any), rank \(module.rank)")
    }
  }

  @Test("Small sets are gone through in the order of Python's table")
  func setOrder() {
    // Asked of CPython 3.11: list(set) after adding one by one.
    #expect(DiffusersScales.pythonSetOrder([4, 5, 7, 8]) == [8, 4, 5, 7])
    #expect(DiffusersScales.pythonSetOrder([8, 0, 1, 8]) == [8, 0, 1])
    #expect(DiffusersScales.pythonSetOrder([8, 0, 6, 1]) == [8, 0, 6, 1])
    #expect(DiffusersScales.pythonSetOrder([1, 0, 8]) == [0, 1, 8])
    #expect(DiffusersScales.pythonSetOrder([8, 7, 5, 4, 2]) == [2, 4, 5, 7, 8])
  }
}
