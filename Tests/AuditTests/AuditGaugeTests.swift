import Factoring
import Kernels
import Merging
import Rendering
import TestSupport
import Testing

@testable import Audit

/// A scan over every number of components of three adapters, by the probe with a limit of 0.05, found the same points as
/// the search: sketch 278 of 2112 (but for a lucky 248), sepia-r64 580 of 8448, lumi 629 of 2208.
@Suite struct AuditGaugeTests {
  let sides: Sides, folder: TemporaryFolder, rendering: AuditRendering
  let scenes: [AuditScene]

  init() throws {
    (sides, folder) = (try Sides(), try TemporaryFolder())
    var request = RenderRequest(prompt: "", size: MapSize(height: 128, width: 128))
    request.steps = 2
    rendering = AuditRendering(model: try PictureModel(sides.base), request: request, precision: .f32, threads: 2)
    scenes = [AuditScene(prompt: "a red robot on the beach", seed: 0, size: request.size, strengths: [0.5, 1])]
  }

  @Test("the search stops where the next component less fails, and all that are tried above pass")
  func point() throws {
    let limit = 0.05, path = folder.file("try.safetensors")
    let gauge = try AuditGauge(
      .probeError, of: sides.side(.init(path: Sides.adapter("lumi"))), scenes: scenes, rendering: rendering)
    let plan = try DecomposedPlan(
      RefactorPlan(RefactorRecipe(.resize, inputs: [.init(path: Sides.adapter("lumi"))], rule: .exact)), threads: 2)
    func passes(_ components: Int) throws -> Bool {
      let allocation = try plan.allocation(rule: .components(components))
      // Beside them the text encoder keeps one of its output projections, by which loaders know it.
      #expect(allocation.ranks.reduce(0, +) == components + 1)
      _ = try plan.write(allocation, to: path, overwriting: true, threads: 2)
      return try gauge.value(of: sides.side(.init(path: path))) <= limit
    }
    let found = try #require(try smallestPassing(in: 1...plan.componentCount, passes))
    #expect(try !passes(found - 1))
    for more in [0, 1, 2, 5, 20, 100, 700] { #expect(try passes(found + more), "\(found) + \(more)") }
    for fewer in [2, 5, 20, 100] { #expect(try !passes(found - fewer), "\(found) - \(fewer)") }
  }

  @Test(
    "a gauge's value is the audit's",
    arguments: ["probe.relative_error", "probe.effect_error", "pictures.ssim", "pictures.ssimulacra2"])
  func sameAsAudit(_ name: String) throws {
    let measure = try #require(AuditMeasure(named: name))
    let before = try sides.side(.init(path: Sides.adapter("sketch")))
    let after = try sides.side(.init(path: sides.resized("sketch", .energy(0.99), in: folder)))
    let result = try AuditPlan(before: before, after: after, scenes: scenes, rendering: rendering, threads: 2).run()
    let value = try AuditGauge(measure, of: before, scenes: scenes, rendering: rendering).value(of: after)
    #expect(result.checks.first { $0.measure == measure }?.value == value)
  }
}
