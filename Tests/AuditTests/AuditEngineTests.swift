import Checkpoints
import Kernels
import Models
import Rendering
import Synchronization
import Tensors
import TestSupport
import Testing

@testable import Audit

/// Weights of a side, and how often each is asked for.
private final class Counted: AuditVariant {
  private let side: AuditSide
  private let reads = Mutex<[WeightName: Int]>([:])

  init(_ side: AuditSide) { self.side = side }

  func leaves(_ component: Component) -> Bool { side.leaves(component) }

  func facts(_ hashes: KnownHashes) throws -> [String] { try side.facts(hashes) }

  func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    reads.withLock { $0[name, default: 0] += 1 }
    return try side.weight(named: name, shape: shape)
  }

  /// How often each weight of a network was read.
  func reads(of component: Component) -> [Int] {
    reads.withLock { $0.filter { $0.key.component == component }.map(\.value) }
  }
}

/// Networks that are shared say what networks of their own would.
@Suite struct AuditEngineTests {
  let sides: Sides, rendering: AuditRendering
  let scenes: [AuditScene]

  init() throws {
    sides = try Sides()
    var request = RenderRequest(prompt: "", size: MapSize(height: 64, width: 64))
    request.steps = 2
    rendering = AuditRendering(model: try PictureModel(sides.base), request: request, precision: .f32, threads: 2)
    let small = AuditScene(prompt: "a red robot", negative: "blue", seed: 3, size: request.size, strengths: [0.5, 1])
    var large = small
    (large.prompt, large.size, large.strengths) = ("a cat", MapSize(height: 128, width: 128), [1])
    scenes = [small, large]
  }

  private var engine: AuditEngine { AuditEngine(rendering, scenes: scenes) }

  @Test("a probe and pictures load a denoiser once, and texts are read again only where they may say something else")
  func loads() throws {
    let engine = engine, shots = AuditShot.all(of: scenes)
    let plain = Counted(try sides.side(.init(path: Sides.adapter("sepia-r64"))))
    let other = Counted(try sides.side(.init(path: Sides.adapter("sepia-r64"), strength: -1)))
    let talking = Counted(try sides.side(.init(path: Sides.adapter("lumi"))))
    for (index, weights) in [plain, other, talking].enumerated() {
      let run = try AuditRun(
        shots.filter { $0.strength == 1 }, isProbed: true, engine: engine, with: { _ in weights })
      #expect(run.predictions.count == 2)
      let denoiser = weights.reads(of: .denoiser)
      #expect(denoiser.count > 100 && denoiser.allSatisfy { $0 == 1 })
      let texts = weights.reads(of: .textEncoder1)
      #expect(index == 1 ? texts.isEmpty : texts.count > 10 && texts.allSatisfy { $0 == 1 })
      #expect(weights.reads(of: .vae).isEmpty)
    }
    let runs = try [plain, other].map { weights in
      try AuditRun(shots.filter { $0.strength == 1 }, engine: engine, with: { _ in weights })
    }
    _ = try engine.pictures(of: runs.map { ($0, shots.filter { $0.strength == 1 }) })
    let decoder = plain.reads(of: .vae)
    #expect(decoder.count > 10 && decoder.allSatisfy { $0 == 1 } && other.reads(of: .vae).isEmpty)
  }

  @Test("what is asked together is what is asked alone, to the bit", arguments: ["sepia-r64", "lumi"])
  func sameAlone(_ name: String) throws {
    let engine = engine, shots = AuditShot.all(of: scenes), side = try sides.side(.init(path: Sides.adapter(name)))
    let base = try AuditRun(base: sides.base, shots, isProbed: true, engine: engine)
    let run = try AuditRun(shots, isProbed: true, engine: engine, with: side.scaled)
    let pictures = try engine.pictures(of: [(run, shots)])[0]
    #expect(try base.predictions == rendering.probe(scenes).predictions(with: sides.base))
    #expect(try run.predictions == rendering.probe(scenes).predictions(with: side))
    for strength in [0.5, 1] {
      let own = shots.indices.filter { shots[$0].strength == strength }
      let alone = try Renderer(rendering.model, weights: side.scaled(by: strength), precision: .f32, threads: 2)
        .render(own.map { rendering.request(shots[$0].scene) })
      #expect(own.map { run.latents(of: shots[$0]) } == alone.latents)
      #expect(own.map { pictures[$0] } == alone.images)
    }
    let plain = try Renderer(rendering.model, weights: sides.base, precision: .f32, threads: 2)
      .render(scenes.map { rendering.request($0) })
    #expect(shots.filter { $0.strength == 1 }.map { base.latents(of: $0) } == plain.latents)
  }

  @Test("a side leaves alone what neither its adapters nor its checkpoint change; rounding, what is stored so already")
  func leaves() throws {
    let folder = try TemporaryFolder()
    let plain = try sides.side(.init(path: Sides.adapter("sepia-r64")))
    let talking = try sides.side(.init(path: Sides.adapter("lumi")))
    let silent = try sides.side(.init(path: Sides.adapter("lumi"), textEncoderStrength: 0))
    let baked = try sides.side(
      .init(path: sides.baked([.init(path: Sides.adapter("sepia-r64"))], dtype: .f32, in: folder)))
    func left(_ weights: any AuditVariant) -> [Bool] { [.denoiser, .textEncoder1, .vae].map { weights.leaves($0) } }
    #expect(left(sides.base) == [true, true, true])
    #expect(left(plain) == [false, true, true] && left(silent) == [false, true, true])
    #expect(left(talking) == [false, false, true])
    #expect(left(baked) == [false, false, false])
    #expect(left(RoundedWeights(source: plain, format: .f16)) == [false, true, true])
    #expect(left(RoundedWeights(source: plain, format: .bf16)) == [false, false, false])
  }
}
