import Adapters
import Checkpoints
import Files
import FoundationEssentials
import JSON
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves what stands around the factors of a resized adapter: metadata that keeps the training's and is right about
/// the new file, hashes that others would compute, and bytes that depend on nothing but the input and the recipe.
@Suite struct ResizeFileTests {
  private func pico(seed: UInt64 = 1, targets: Int = 6, alpha: Double? = 4) -> Pico {
    var pico = Pico(seed: seed)
    for index in 0..<targets {
      pico.add("lora_unet_\(index)", rows: 12 + 5 * index, inputs: 30 - 3 * index, rank: 8, alpha: alpha)
    }
    pico.metadata = [
      ("ss_learning_rate", "1e-4"), ("ss_network_dim", "8"), ("ss_network_alpha", "4"), ("sshs_model_hash", "stale"),
      ("modelspec.title", "a \"style\""), ("modelspec.hash_sha256", "0xstale"), ("lathe.version", "0.0.1"),
    ]
    return pico
  }

  @Test("The training's metadata stays, and what describes the factors is made anew")
  func metadata() throws {
    let folder = try TemporaryFolder(), path = folder.file("style.safetensors")
    let source = try pico().write(to: path)
    let output = try Refactoring(.resize(path, .rank(3, conv: nil)), to: folder.file("b.safetensors")).output
    #expect(output[metadata: "ss_learning_rate"] == "1e-4")
    #expect(output[metadata: "modelspec.title"] == "a \"style\"")
    #expect(output[metadata: "ss_network_dim"] == "3")
    #expect(output[metadata: "ss_network_alpha"] == "1.5")
    #expect(output[metadata: "ss_network_module"] == "networks.lora")
    #expect(output[metadata: "lathe.version"] == ToolVersion.current)
    #expect(Set(output.metadata.map(\.key)).count == output.metadata.count)

    let hash = ContentHash.sha256(try #require(output.data))
    #expect(output[metadata: "sshs_model_hash"] == hash)
    #expect(output[metadata: "modelspec.hash_sha256"] == "0x" + hash)
    #expect(try AdapterHashes(of: output).staleHash(in: output) == nil)

    let text = try #require(output[metadata: "lathe.recipe"]), recipe = try #require(JSONValue(parsing: text)?.object)
    #expect(recipe["operation"] == .string("resize"))
    #expect(recipe["rule"] == .string("rank 3"))
    #expect(recipe["weigh"] == .string("absolute"))
    let input = try #require(recipe["inputs"]?.array?.first?.object)
    #expect(input["file"] == .string("style.safetensors"), "a path of this machine is nobody's business")
    #expect(input["content_sha256"] == .string(ContentHash.sha256(try #require(source.data))))
    #expect(input["strength"]?.double == 1)
  }

  @Test(
    "Ranks that differ are called dynamic",
    arguments: [RankRule.energy(0.9), .size(.init(9000)), .rank(3, conv: 2), .rank(9, conv: nil)])
  func dynamic(rule: RankRule) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let output = try Refactoring(.resize(path, rule), to: folder.file("b.safetensors")).output
    #expect(output[metadata: "ss_network_dim"] == "Dynamic")
    #expect(output[metadata: "ss_network_alpha"] == "4")
    #expect(output.targets.allSatisfy { $0.alpha == 4 })
  }

  @Test(
    "Ranks by another rule than the recipe's are recorded with that rule",
    arguments: [
      (RankRule.rank(2, conv: nil), "2"), (.energy(0.9), "Dynamic"), (.size(.init(123_456)), "Dynamic"),
      (.size(.init(9999)), "Dynamic"),
    ])
  func otherRule(rule: RankRule, dim: String) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let decomposed = try DecomposedPlan(RefactorPlan(.resize(path, .rank(7, conv: nil))), threads: 1)
    let allocation = try decomposed.allocation(rule: rule)
    _ = try decomposed.write(allocation, to: folder.file("b.safetensors"), overwriting: false, threads: 1)
    let output = try Adapter(path: folder.file("b.safetensors"))
    #expect(output[metadata: "ss_network_dim"] == dim)
    let recipe = try #require(JSONValue(parsing: output[metadata: "lathe.recipe"] ?? "")?.object)
    #expect(recipe["rule"] == .string(rule.description))
    #expect(try folder.bytes(of: "b.safetensors").count == allocation.bytes)
  }

  @Test("Other dialects get no kohya metadata")
  func otherDialects() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 1, .diffusers)
    pico.add("unet.mid_block.attentions.0.proj_in", rows: 9, inputs: 8, rank: 4)
    try pico.write(to: path)
    let output = try Refactoring(.resize(path, .rank(2, conv: nil)), to: folder.file("b.safetensors")).output
    #expect(output.metadata.map(\.key) == ["format", "lathe.version", "lathe.recipe"])
  }

  @Test("The old short hash is that of a file with the training's metadata only")
  func legacyHash() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    // The hash covers 64 KiB from the second mebibyte on, so the file must be larger than that.
    var pico = pico()
    pico.add("lora_unet_large", rows: 3000, inputs: 3500, rank: 48, alpha: 48)
    try pico.write(to: path)
    let run = try Refactoring(.resize(path, .exact), to: folder.file("b.safetensors"))
    let file = try SafetensorsFile(path: folder.file("b.safetensors"))
    let items = file.entries.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    let head = SafetensorsLayout(items, metadata: file.metadata.filter { $0.key.hasPrefix("ss_") }).head()
    let bytes = head + file.data.withUnsafeBytes { Array($0.prefix(0x120000)) }
    #expect(bytes.count > 0x110000)
    let hash = bytes[0x100000..<0x110000].withUnsafeBytes { ContentHash.sha256($0) }
    #expect(run.output[metadata: "sshs_legacy_hash"] == String(hash.prefix(8)))
  }

  @Test(
    "The bytes do not depend on the number of threads",
    arguments: [RankRule.rank(3, conv: nil), .size(.init(9000)), .exact])
  func threads(rule: RankRule) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico(targets: 9).write(to: path)
    let outputs = try [1, 2, 4].map { threads in
      _ = try Refactoring(.resize(path, rule), to: folder.file("\(threads).safetensors"), threads: threads)
      return try folder.bytes(of: "\(threads).safetensors")
    }
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] == outputs[2])
  }

  @Test("Progress counts every target once in both passes")
  func progress() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let first = Counter(), second = Counter()
    let decomposed = try DecomposedPlan(RefactorPlan(.resize(path, .exact)), threads: 2) { first.add($0) }
    _ = try decomposed.write(
      decomposed.allocation(), to: folder.file("b.safetensors"), overwriting: false, threads: 2
    ) { second.add($0) }
    #expect(first.sorted == Array(1...6))
    #expect(second.sorted == Array(1...6))
  }

  @Test("A file of a given size is not larger and hardly smaller", arguments: [5000, 7000, 9001, 12_345, 1_000_000])
  func size(limit: Int) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let run = try Refactoring(.resize(path, .size(.init(limit))), to: folder.file("b.safetensors"))
    let count = try folder.bytes(of: "b.safetensors").count
    #expect(run.result.bytes == count)
    #expect(count <= limit)
    // One component and its header entries at most are left over.
    if run.allocation.ranks.contains(where: { $0 < 8 }) { #expect(limit - count <= 4 * (37 + 15) + 400) }
    let bound = try #require(run.result.lowerBound)
    #expect(bound <= run.result.relativeError + 1e-7)
  }

  @Test(
    "Resizing twice is resizing once to the smaller size",
    arguments: [
      (RankRule.rank(5, conv: nil), RankRule.rank(2, conv: nil)), (.size(.init(13_000)), .size(.init(9_000))),
      (.energy(0.999), .rank(2, conv: nil)), (.exact, .energy(0.9)),
    ])
  func twice(large: RankRule, small: RankRule) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let once = try Refactoring(.resize(path, small), to: folder.file("b.safetensors"))
    _ = try Refactoring(.resize(path, large), to: folder.file("c.safetensors"))
    let twice = try Refactoring(.resize(folder.file("c.safetensors"), small), to: folder.file("d.safetensors"))
    #expect(twice.output.targets.map(\.rank) == once.output.targets.map(\.rank))
    for (a, b) in zip(once.output.targets, twice.output.targets) {
      #expect(relativeDifference(b.dense, a.dense) <= 1e-6)
    }
  }

  @Test("A prediction without writing says what writing gives")
  func prediction() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    let run = try Refactoring(.resize(path, .size(.init(8000))), to: folder.file("b.safetensors"))
    let predicted = try run.decomposed.prediction(run.allocation, output: "b.safetensors", threads: 2)
    #expect(predicted.bytes == run.result.bytes)
    #expect(abs(predicted.relativeError - run.result.relativeError) <= 1e-6)
    #expect(predicted.entries.map(\.rankAfter) == run.result.entries.map(\.rankAfter))
    #expect(predicted.entries.map(\.rankBefore) == Array(repeating: 8, count: 6))
    #expect(abs(run.result.energy - (1 - run.result.relativeError * run.result.relativeError)) <= 1e-15)
    #expect(run.result.leftOut.map(\.name) == run.result.entries.filter { $0.rankAfter == 0 }.map(\.name))
  }

  @Test(
    "An error limit holds for what was stored",
    arguments: [(0.3, DType.f32), (0.3, .f16), (0.1, .bf16), (0.06, .f8e4m3), (1e-5, .f32)])
  func maxError(limit: Double, dtype: DType) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    try pico().write(to: path)
    var recipe = RefactorRecipe.resize(path, .maxError(limit))
    recipe.dtype = dtype
    let run = try Refactoring(recipe, to: folder.file("b.safetensors"))
    #expect(run.result.relativeError <= limit)
    var lost = 0.0, total = 0.0
    let stored = Dictionary(uniqueKeysWithValues: run.output.targets.map { ($0.name, $0.dense) })
    for target in try Adapter(path: path).targets {
      let delta = target.dense, kept = stored[target.name] ?? delta.map { _ in 0 }
      let difference = zip(delta, kept).map { $0 - $1 }
      lost += inner(difference, difference)
      total += inner(delta, delta)
    }
    #expect((lost / total).squareRoot() <= limit)
  }

  @Test("Dead targets are left out, or kept as zeros when asked")
  func dead() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = pico()
    pico.add("lora_unet_dead", rows: 9, inputs: 8, rank: 4, alpha: 2, size: 0)
    pico.add("lora_unet_off", rows: 9, inputs: 8, rank: 4, alpha: 0)
    try pico.write(to: path)
    var recipe = RefactorRecipe.resize(path, .rank(4, conv: nil))
    let without = try Refactoring(recipe, to: folder.file("b.safetensors"))
    #expect(without.result.leftOut.map(\.name) == ["lora_unet_dead", "lora_unet_off"])
    #expect(without.output.targets.count == 6)
    recipe.keepsAllTargets = true
    let with = try Refactoring(recipe, to: folder.file("c.safetensors"))
    #expect(with.output.targets.count == 8)
    #expect(with.result.leftOut.isEmpty)
    for target in with.output.targets.suffix(2) {
      #expect(target.rank == 1)
      #expect(target.dense.allSatisfy { $0 == 0 })
    }
    #expect(with.result.relativeError == without.result.relativeError)
  }
}
