import FoundationEssentials
import TestSupport
import Testing

@testable import Calibrating

@Suite struct SensitivityTableTests {
  private func table(_ layers: [SensitivityTable.Layer]) -> SensitivityTable {
    SensitivityTable(
      version: "1", base: [.init(file: "a", contentSha256: "0")], family: "SD 1", prompts: ["p"], size: [128, 128],
      cfg: 4, seed: 0, layers: layers)
  }

  private let layer = SensitivityTable.Layer(
    layer: "denoiser.a", group: "g", sensitivity: 0.25, inputs: 4, inputEnergy: 2)

  @Test("What is written is read")
  func roundTrip() throws {
    let folder = try TemporaryFolder(), path = folder.file("t.json"), written = table([layer])
    try Data(written.jsonText().utf8).write(to: URL(filePath: path))
    #expect(try SensitivityTable(path: path) == written)
    #expect(written.isOf(["0"]) && !written.isOf(["1"]) && !written.isOf([]))
  }

  @Test("Numbers that are none, or tell nothing, are refused", arguments: [-1, 0, Double.infinity])
  func numbers(value: Double) throws {
    let folder = try TemporaryFolder(), path = folder.file("t.json")
    var layer = layer
    layer.sensitivity = value
    try Data(table([layer]).jsonText().utf8).write(to: URL(filePath: path))
    #expect(throws: CalibrationError.self) { try SensitivityTable(path: path) }
  }

  @Test("A measurement that was stopped goes on, under the same conditions only")
  func partial() throws {
    let folder = try TemporaryFolder(), path = folder.file("p.json")
    try Data("{}".utf8).write(to: URL(filePath: path))
    #expect(throws: CalibrationError.self) { try PartialSensitivities(path: path, .init(base: ["0"], isEach: true)) }
    try FileManager.default.removeItem(atPath: path)
    let first = try PartialSensitivities(path: path, .init(base: ["0"], isEach: true))
    #expect(first.known.isEmpty)
    try first.add("a", 2)
    try first.write()
    #expect(try PartialSensitivities(path: path, .init(base: ["0"], isEach: true)).known == ["a": 2])
    let second = try PartialSensitivities(path: path, .init(base: ["0"], isEach: true))
    try second.add("b", 3)
    try second.write()
    #expect(try PartialSensitivities(path: path, .init(base: ["0"], isEach: true)).known == ["a": 2, "b": 3])
    #expect(try PartialSensitivities(path: path, .init(base: ["1"], isEach: true)).known.isEmpty)
    #expect(try PartialSensitivities(path: path, .init(base: ["0"], isEach: false)).known.isEmpty)
    first.remove()
    #expect(try folder.names.isEmpty)
  }

  @Test("What is missing counts like the middle one of the others")
  func filled() throws {
    let found = try #require([1, nil, 5, 3, nil].filled())
    #expect(found.values == [1, 3, 5, 3, 3] && found.missing == 2)
    #expect([Double?]([nil, 0, .infinity, .nan]).filled() == nil)
  }
}
