import Adapters
import Spectra
import TestSupport
import Testing

/// Proves that NaN and infinity anywhere in the factors stop the work with one line that names file, target and factor,
/// and that a survey of the weights reports them and dead targets without stopping.
@Suite struct BadNumberTests {
  static let factors = [
    ("up", "lora_up", Double.nan), ("down", "lora_down", .infinity), ("mid", "lora_mid", -.infinity),
  ]

  private func pico() -> Pico {
    var pico = Pico(seed: 2)
    pico.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    pico.add("lora_unet_b", rows: 6, inputs: 5, rank: 2, kernel: [3, 3], mid: 2)
    return pico
  }

  @Test("A number that is not finite is refused by name", arguments: factors)
  func refused(factor: String, suffix: String, value: Double) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = pico()
    pico.change("lora_unet_b.\(suffix).weight") { $0[1] = value }
    let adapter = try pico.write(to: path)
    let message = "\(path): lora_unet_b: \(factor): expected finite values, found 1 NaN or infinite"
    func check(_ body: () throws -> Void) {
      let error = #expect(throws: AdapterError.self, performing: body)
      #expect(error?.description == message)
    }
    check { _ = try AdapterSpectrum(of: adapter, threads: 1) }
    check { _ = try AdapterSpectrum(of: adapter, threads: 5) }
    check { _ = try Comparison(adapter, adapter, threads: 2) }
    check { _ = try CrossTalk([adapter, adapter], strengths: [1, 1], threads: 2) }
  }

  @Test("All bad numbers of a factor are counted")
  func counted() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = pico()
    pico.change("lora_unet_a.lora_up.weight") { for i in 3..<7 { $0[i] = .nan } }
    let adapter = try pico.write(to: path)
    let error = #expect(throws: AdapterError.self) { try AdapterSpectrum(of: adapter, threads: 2) }
    #expect(error?.description == "\(path): lora_unet_a: up: expected finite values, found 4 NaN or infinite")
  }

  @Test("A component that is NaN on one side and zero on the other is still refused")
  func hidden() throws {
    let folder = try TemporaryFolder()
    var pico = pico()
    pico.change("lora_unet_a.lora_up.weight") { for i in stride(from: 0, to: 12, by: 2) { $0[i] = .nan } }
    pico.change("lora_unet_a.lora_down.weight") { for i in 0..<5 { $0[i] = 0 } }
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    #expect(throws: AdapterError.self) { try AdapterSpectrum(of: adapter, threads: 1) }
  }

  @Test("A survey names what is wrong and measures the rest")
  func survey() throws {
    let folder = try TemporaryFolder()
    var pico = pico()
    pico.add("lora_unet_c", rows: 4, inputs: 4, rank: 2, alpha: 3)
    pico.change("lora_unet_a.lora_down.weight") { $0[0] = .nan }
    pico.change("lora_unet_b.lora_up.weight") { for i in $0.indices { $0[i] = 0 } }
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    let survey = try WeightSurvey(of: adapter, threads: 2)
    #expect(survey.norms[0] == nil)
    #expect(survey.norms[1] == 0)
    let norm = Dense.norm(adapter.targets[2].dense)
    #expect(abs(try #require(survey.norms[2]) - norm) <= 1e-13 * norm)
    #expect(
      survey.problems.map(\.description) == [
        "lora_unet_a: down: expected finite values, found 1 NaN or infinite",
        "lora_unet_b: the delta is zero: the target was never trained",
      ])
  }
}
