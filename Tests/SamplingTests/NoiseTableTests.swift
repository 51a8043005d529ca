import Sampling
import TestSupport
import Testing

/// Proves that tables have torch's bits, and that impossible ones are refused.
@Suite struct NoiseTableTests {
  @Test("Betas, products and noise levels", arguments: TableGolden.all)
  func tables(golden: TableGolden) throws {
    let table = try NoiseTable(
      betaStart: golden.beta_start, betaEnd: golden.beta_end, schedule: golden.beta_schedule, count: golden.count,
      rescaledToZeroTerminal: golden.zero)
    #expect(table.count == golden.count)
    #expect(table.isZeroTerminal == golden.zero)
    #expect(table.betas.map(\.bitPattern) == golden.betas.values.map(\.bitPattern))
    #expect(table.cumulativeAlphas.map(\.bitPattern) == golden.cumulative.values.map(\.bitPattern))
    #expect(table.sigmas.map(\.bitPattern) == golden.sigmas.values.map(\.bitPattern))
  }

  @Test("The known ends of Stable Diffusion's table")
  func ends() throws {
    let table = try NoiseTable(betaStart: 0.00085, betaEnd: 0.012, schedule: .scaledLinear, count: 1000)
    #expect(table.cumulativeAlphas[0] == 0.999149978)
    #expect(table.cumulativeAlphas[999] == 0.00466009509)
    #expect(abs(table.sigmas[0] - 0.02916753) <= 4e-9)
    #expect(table.sigmas[999] == 14.6146469)
    let zero = try NoiseTable(
      betaStart: 0.00085, betaEnd: 0.012, schedule: .scaledLinear, count: 1000, rescaledToZeroTerminal: true)
    #expect(zero.cumulativeAlphas[999] == 0)
    // √(2²⁴ − 1), a hair below the middle between two neighbours.
    #expect(zero.sigmas[999] == Float(4096).nextDown)
  }

  @Test(
    "Tables that cannot be",
    arguments: [
      (0.0, 0.01, 10, "beta_start"), (0.02, 0.01, 10, "beta_start"), (0.01, 1, 10, "beta_start"),
      (.nan, 0.01, 10, "beta_start"), (0.001, 0.01, 1, "num_train_timesteps"),
    ] as [(Double, Double, Int, String)])
  func refused(start: Double, end: Double, count: Int, name: String) throws {
    let error = try #require(throws: SamplingError.self) {
      try NoiseTable(betaStart: start, betaEnd: end, schedule: .linear, count: count)
    }
    guard case .setting(name, _, _) = error.kind else {
      Issue.record("expected a complaint about \(name), found \(error)")
      return
    }
  }
}
