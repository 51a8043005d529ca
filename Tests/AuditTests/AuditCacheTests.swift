import Checkpoints
import Dispatch
import Factoring
import Foundation
import Kernels
import Rendering
import Sampling
import Tensors
import TestSupport
import Testing

@testable import Audit

@Suite struct AuditCacheTests {
  let sides: Sides, folder: TemporaryFolder, rendering: AuditRendering
  let scene: AuditScene

  init() throws {
    (sides, folder) = (try Sides(), try TemporaryFolder())
    var request = RenderRequest(prompt: "", size: MapSize(height: 64, width: 64))
    request.steps = 2
    rendering = AuditRendering(model: try PictureModel(sides.base), request: request, precision: .f32, threads: 2)
    scene = AuditScene(prompt: "a red robot", seed: 0, size: request.size, strengths: [1])
  }

  private func cache(_ name: String = "caches", capacity: Int = AuditCache.usualCapacity) -> AuditCache {
    AuditCache(folder: folder.file(name), capacity: capacity)
  }

  private func key(_ fact: String, scenes: [AuditScene]) -> AuditKey {
    AuditKey(of: [fact], rendering, null: nil, probe: nil, scenes: scenes)
  }

  private func answer(_ scenes: [AuditScene], numbers: Int = 3) -> AuditAnswer {
    var answer = AuditAnswer(scenes: scenes)
    answer.predictions = [[[1, -0.0, .leastNonzeroMagnitude], []], [[.greatestFiniteMagnitude], [2, 3]]]
    answer.latents = scenes.map { Array(repeating: Float($0.seed) + 0.1, count: numbers) }
    return answer
  }

  private func files(_ cache: AuditCache) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: cache.folder).sorted().map { "\(cache.folder)/\($0)" }
  }

  // MARK: Files

  @Test("what is kept is found again bit for bit, by its own key only")
  func roundTrip() throws {
    let cache = cache(), key = key("a", scenes: [scene]), kept = answer([scene])
    #expect(cache.answer(for: key) == nil && cache.problem == nil)
    cache.keep(kept, for: key)
    let found = try #require(cache.answer(for: key))
    #expect(found.isReused && found.scenes == [scene] && found.latents == kept.latents)
    #expect(
      found.predictions.map { $0.map { $0.map(\.bitPattern) } }
        == kept.predictions.map { $0.map { $0.map(\.bitPattern) } })
    #expect(cache.answer(for: self.key("b", scenes: [scene])) == nil && cache.problem == nil)
    // Under another name it is somebody else's.
    let other = self.key("b", scenes: [scene])
    try FileManager.default.copyItem(atPath: files(cache)[0], toPath: "\(cache.folder)/\(other.name)")
    #expect(cache.answer(for: other) == nil)
  }

  @Test("a damaged answer is none, whichever byte it is, and is written anew")
  func damage() throws {
    let cache = cache(), key = key("a", scenes: [scene])
    cache.keep(answer([scene]), for: key)
    let path = try files(cache)[0], whole = try Data(contentsOf: URL(filePath: path))
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= 1
      try damaged.write(to: URL(filePath: path))
      #expect(cache.answer(for: key) == nil, "byte \(place)")
    }
    for count in [0, 1, 60, whole.count - 4, whole.count - 1] {
      try whole.prefix(count).write(to: URL(filePath: path))
      #expect(cache.answer(for: key) == nil, "\(count) bytes")
    }
    try (whole + [0]).write(to: URL(filePath: path))
    #expect(cache.answer(for: key) == nil)
    cache.keep(answer([scene]), for: key)
    #expect(try Data(contentsOf: URL(filePath: path)) == whole && cache.answer(for: key) != nil)
  }

  @Test("runs that keep and look for the same answer at once find it whole or not at all")
  func concurrent() throws {
    let caches = [cache(), cache()], key = key("a", scenes: [scene]), kept = answer([scene], numbers: 20_000)
    DispatchQueue.concurrentPerform(iterations: 40) { index in
      caches[index % 2].keep(kept, for: key)
      if let found = caches[1 - index % 2].answer(for: key) { #expect(found.latents == kept.latents) }
    }
    #expect(caches.allSatisfy { $0.problem == nil } && caches[0].answer(for: key)?.latents == kept.latents)
    #expect(try files(caches[0]).count == 1)
  }

  @Test("answers that were not used for longest make room")
  func capacity() throws {
    let keys = (0..<6).map { key("\($0)", scenes: [scene]) }, kept = answer([scene], numbers: 1000)
    let cache = cache(capacity: 3 * kept.bytes(for: keys[0]).count)
    for (age, key) in keys.enumerated() {
      cache.keep(kept, for: key)
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: Double(age - 100))], ofItemAtPath: "\(cache.folder)/\(key.name)")
      // The first one is used all the time.
      #expect(cache.answer(for: keys[0]) != nil)
    }
    #expect(keys.map { cache.answer(for: $0) != nil } == [true, false, false, false, true, true])
  }

  @Test("a folder that cannot be made costs nothing but what would have been kept")
  func unwritable() throws {
    let path = folder.file("file")
    try Data("x".utf8).write(to: URL(filePath: path))
    let cache = AuditCache(folder: "\(path)/caches"), key = key("a", scenes: [scene])
    cache.keep(answer([scene]), for: key)
    #expect(cache.problem != nil && cache.answer(for: key) == nil)
    #expect(try Data(contentsOf: URL(filePath: path)) == Data("x".utf8))
  }

  @Test("the user's folder is where the environment says, if it says it with a whole path")
  func userFolder() {
    #expect(AuditCache.userFolder(in: ["XDG_CACHE_HOME": "/c", "HOME": "/h"]) == "/c/lathe/audits")
    #expect(AuditCache.userFolder(in: ["HOME": "/h"]) == "/h/.cache/lathe/audits")
    for other in ["", "c", "./c"] {
      #expect(AuditCache.userFolder(in: ["XDG_CACHE_HOME": other, "HOME": "/h"]) == "/h/.cache/lathe/audits")
    }
    #expect(AuditCache.userFolder(in: ["HOME": "h"]) == nil && AuditCache.userFolder(in: [:]) == nil)
  }

  // MARK: Keys

  @Test("whatever an answer depends on changes its key")
  func keys() throws {
    var names: [String: String] = [:]
    func note(
      _ what: String, _ weights: any AuditVariant, null: NullKind? = nil, isProbed: Bool = true,
      _ change: (inout AuditRendering, inout AuditScene) -> Void = { _, _ in }
    ) throws {
      var rendering = rendering, scene = scene
      change(&rendering, &scene)
      let key = AuditKey(
        of: try weights.facts(KnownHashes()), rendering, null: null, probe: isProbed ? rendering.probe([scene]) : nil,
        scenes: [scene])
      if let other = names.updateValue(what, forKey: key.name) { Issue.record("\(what) has the key of \(other)") }
    }
    let plain = try sides.side(.init(path: Sides.adapter("sketch")))
    try note("the base", sides.base)
    try note("adapters", plain)
    try note("another strength", plain.scaled(by: 0.5))
    try note("text encoders", sides.side(.init(path: Sides.adapter("sketch"), textEncoderStrength: 0.5)))
    let blocks = try #require(BlockWeights([Double](repeating: 0.5, count: 17)))
    try note("block weights", sides.side(.init(path: Sides.adapter("sketch"), blocks: blocks)))
    try note("two adapters", sides.side(.init(path: Sides.adapter("sketch")), .init(path: Sides.adapter("lumi"))))
    try note("another adapter", sides.side(.init(path: Sides.adapter("lumi"))))
    try note("rounded weights", RoundedWeights(source: plain, format: .f16))
    try note("rounded otherwise", RoundedWeights(source: plain, format: .bf16))
    try note("a null", plain, null: .bfloatArithmetic)
    try note("no probe", plain, isProbed: false)
    try note("precision", plain) { rendering, _ in rendering.precision = .bf16 }
    try note("steps", plain) { rendering, _ in rendering.request.steps = 3 }
    try note("sampler", plain) { rendering, _ in rendering.request.sampler = .dpm2M }
    try note("guidance", plain) { rendering, _ in rendering.request.guidance = Guidance(scale: 7.0000005) }
    try note("noise", plain) { rendering, _ in rendering.request.generator = .philox }
    try note("style", plain) { rendering, _ in rendering.request.style = .comfy }
    try note("schedule", plain) { rendering, _ in rendering.model.scheduler.prediction = .velocity }
    try note("prompt", plain) { _, scene in scene.prompt = "a red robot " }
    try note("negative", plain) { _, scene in scene.negative = "" }
    try note("seed", plain) { _, scene in scene.seed = 1 }
    try note("size", plain) { _, scene in scene.size = MapSize(height: 64, width: 72) }
    // The same base with other configurations is another one; at another place it is the same.
    let copy = folder.file("model")
    try FileManager.default.copyItem(atPath: sides.base.path, toPath: copy)
    let key = AuditKey(
      of: try Checkpoint(path: copy).facts(KnownHashes()), rendering, null: nil, probe: rendering.probe([scene]),
      scenes: [scene])
    #expect(names[key.name] == "the base")
    let configuration = URL(filePath: "\(copy)/scheduler/scheduler_config.json")
    try (Data(contentsOf: configuration) + Data(" ".utf8)).write(to: configuration)
    try note("another configuration", Checkpoint(path: copy))
  }

  // MARK: Audits

  @Test("a second audit reuses what does not depend on what came after, and says the same")
  func reuse() throws {
    let before = try sides.side(.init(path: Sides.adapter("sketch"))), cache = cache()
    let after = try sides.side(.init(path: sides.resized("sketch", .energy(0.9), in: folder)))
    func run(_ after: AuditSide, _ cache: AuditCache?, seed: UInt64 = 0) throws -> AuditResult {
      var scene = scene
      scene.seed = seed
      return try AuditPlan(
        before: before, after: after, scenes: [scene], rendering: rendering, threads: 2, cache: cache
      ).run()
    }
    let all = ["the base"] + NullKind.kinds(for: .f32).map(\.rawValue)
    let plain = try run(after, nil), first = try run(after, cache), second = try run(after, cache)
    #expect(plain.reused.isEmpty && first.reused.isEmpty && second.reused == all && cache.problem == nil)
    for result in [first, second] {
      #expect(result.checks.map(\.value) == plain.checks.map(\.value))
      #expect(result.checks.map(\.null) == plain.checks.map(\.null))
      let (found, expected) = (try #require(result.pictures), try #require(plain.pictures))
      #expect(found.pairs.map(\.before) == expected.pairs.map(\.before))
      #expect(found.pairs.map(\.after) == expected.pairs.map(\.after))
      #expect(found.nulls.map { $0.rows.map(\.picture) } == expected.nulls.map { $0.rows.map(\.picture) })
    }
    #expect(try run(before, cache).reused == all, "another one came after")
    #expect(try run(after, cache, seed: 5).reused.isEmpty)
  }
}
