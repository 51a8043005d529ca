import Foundation
import TestSupport
import Testing

@Suite struct CompareProbeTests {
  private func report(_ arguments: [String]) throws -> [String: Any] {
    let run = try Tool.run(["compare", "--json", "--quiet", "--probe-size", "64x64", "--probe"] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
    return try #require(report)
  }

  private func prediction(_ report: [String: Any]) throws -> (error: Double, effect: Double?, times: [Double]) {
    let fields = try #require(report["noise_prediction"] as? [String: Any])
    let rows = try #require(fields["times"] as? [[String: Any]])
    return (
      try #require(fields["relative_error"] as? Double), fields["effect_error"] as? Double,
      rows.compactMap { $0["relative_error"] as? Double }
    )
  }

  @Test("a checkpoint predicts what it predicts itself, and a bake something else")
  func checkpoints() throws {
    let fixture = try RenderFixture(), style = try fixture.adapter()
    let same = try prediction(report([RenderFixture.sd1, RenderFixture.sd1]))
    #expect(same.error == 0 && same.times == [0, 0, 0, 0])
    let baked = fixture.folder.file("baked")
    #expect(try Tool.run(["bake", RenderFixture.sd1, style, "-o", baked, "--dtype", "f32", "--quiet"]).status == 0)
    let other = try prediction(report([RenderFixture.sd1, baked]))
    #expect(other.error > 1e-4 && other.times.count == 4)
    #expect(other.effect == nil)
  }

  @Test("the share of an adapter's effect: none for itself, half for half its strength, all for none")
  func adapters() throws {
    let fixture = try RenderFixture(), style = try fixture.adapter()
    func effect(_ strength: String) throws -> Double {
      let fields = try report([style, style + "@" + strength, "--base", RenderFixture.sd1])
      return try #require(prediction(fields).effect)
    }
    #expect(try effect("1") == 0)
    // The network is not linear: half the strength is about half the effect.
    let half = try effect("0.5")
    #expect(half > 0.3 && half < 0.7, "\(half)")
    #expect(try effect("0") == 1)
  }

  @Test("what does not go together is a usage error")
  func usage() throws {
    let fixture = try RenderFixture(), style = try fixture.adapter()
    for arguments in [
      [style, style, "--all", "--probe"],
      [style, style, "--probe", "--base", RenderFixture.sd1, "--probe-size", "60x64"],
    ] {
      #expect(try Tool.run(["compare"] + arguments).status == 64, "\(arguments)")
    }
    #expect(try Tool.run(["compare", RenderFixture.sd1, RenderFixture.sdxl, "--probe"]).status == 65)
  }
}
