import Adapters
import Safetensors
import TestSupport
import Testing

@testable import Spectra

/// Spectra and comparisons of LoHa, LoKr and full differences, from their factors, against dense algebra on the library's deltas.
@Suite struct ComposedSpectrumTests {
  @Test("singular values are those of the dense delta")
  func spectra() throws {
    let adapter = try Adapter(path: Goldens.path("families/adapter.safetensors"))
    let expected = try SafetensorsFile(path: Goldens.path("families/expected.safetensors"))
    let spectrum = try AdapterSpectrum(of: adapter, threads: 2)
    for entry in spectrum.entries {
      let target = entry.target
      let delta = expected.tensor(expected.entries[expected.index(of: target.name)!]).doubles()
      let dense = Dense.singularValues(delta, rows: target.rows, columns: target.columns)
      let found =
        entry.spectrum.singularValues + Array(repeating: 0, count: dense.count - entry.spectrum.singularValues.count)
      let error = zip(found, dense).map { abs($0 - $1) }.max() ?? .nan
      #expect(error <= 1e-12 * dense[0] * Double(dense.count), "\(target.name): \(error) of \(dense[0])")
    }
  }

  @Test("an adapter is no different from itself, and NaN is named by the tensor that has it")
  func comparison() throws {
    let adapter = try Adapter(path: Goldens.path("families/adapter.safetensors"))
    #expect(try Comparison(adapter, adapter, threads: 2).relativeError <= 1e-12)
    let folder = try TemporaryFolder(), path = folder.file("nan.safetensors"),
      name = "lora_unet_mid_block_attentions_0_proj_in"
    try writeAdapter(
      to: path,
      tensors: [
        filler("\(name).lokr_w1", [2, 2]), ("\(name).lokr_w2_a", [4, 1], .f32, [1, .nan, 1, 1]),
        filler("\(name).lokr_w2_b", [1, 4]),
      ])
    let error = #expect(throws: AdapterError.self) { try AdapterSpectrum(of: Adapter(path: path), threads: 1) }
    #expect(
      error?.description.contains("lokr_w2_a: expected finite values, found 1 NaN or infinite") == true,
      "\(error?.description ?? "")")
  }
}
