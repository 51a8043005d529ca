import Audit
import Foundation
import Kernels
import TestSupport
import Testing

/// The whole audit on the example model: what must pass passes, what must not does not, and for the right reason.
@Suite struct AuditCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let stack = ["lumi@1", "glitter@0.5", "sketch@0.3"].map { text in
    let parts = text.split(separator: "@")
    return "\(Toybox.adapter(String(parts[0])))@\(parts[1])"
  }

  /// Few small pictures, quickly.
  private func audit(_ arguments: [String], pictures: Bool = true) throws -> Tool.Run {
    try Tool.run(
      ["audit", Toybox.model, "--quiet", "--json"] + arguments
        + (pictures
          ? [
            "--prompt", "a red robot with a blue hat on the beach", "--prompt", "a lumi owl waving in the snow",
            "--cfg",
            "4", "--steps", "8", "--strengths", "0.6,1",
          ] : []))
  }

  private func resized(_ name: String, percent: Int) throws -> String {
    let whole = Toybox.adapter(name), path = folder.file("\(name)-\(percent).safetensors")
    let bytes = try #require(try FileManager.default.attributesOfItem(atPath: whole)[.size] as? Int)
    let run = try Tool.run(["resize", whole, "-o", path, "--size", "\(bytes * percent / 100)", "--quiet"])
    #expect(run.status == 0, "\(run.errors)")
    return path
  }

  private func checks(_ run: Tool.Run) -> [String: [String: Any]] {
    let list = run.json["checks"] as? [[String: Any]] ?? []
    return Dictionary(list.map { ($0["name"] as? String ?? "", $0) }, uniquingKeysWith: { a, _ in a })
  }

  private func value(_ name: String, _ run: Tool.Run) -> Double { checks(run)[name]?["value"] as? Double ?? .nan }

  @Test("a resize to half of the bytes passes, within the noise")
  func half() throws {
    let run = try audit(["--before", Toybox.adapter("sepia-r64"), "--after", resized("sepia-r64", percent: 50)])
    #expect(run.status == 0, "\(run.errors)")
    // Without bf16 arithmetic beside it, the noise is that of rounded weights alone, and softer than this cut.
    let verdict = NativeBackend.precisions.contains(.bf16) ? "within noise" : "visible but small"
    #expect(run.json["verdict"] as? String == verdict && run.json["passed"] as? Bool == true)
    #expect(value("pictures.ssimulacra2", run) >= 90)
    #expect((run.json["pictures"] as? [Any])?.count == 4)
  }

  @Test("a second audit says what it did not render again, and nothing else is different; --no-cache keeps nothing")
  func cache() throws {
    let caches = folder.file("caches"), small = try resized("sketch", percent: 50)
    func run(_ more: String..., to caches: String) throws -> Tool.Run {
      try Tool.run(
        [
          "audit", Toybox.model, "--before", Toybox.adapter("sketch"), "--after", small, "--json", "--steps", "2",
          "--prompt", "a red robot", "--size", "64x64", "--strengths", "1",
        ] + more, after: "export XDG_CACHE_HOME='\(caches)'")
    }
    func reused(_ run: Tool.Run) -> [String]? { (run.json["recipe"] as? [String: Any])?["reused"] as? [String] }
    func numbers(_ run: Tool.Run) -> NSDictionary {
      let names = ["checks", "pictures", "nulls", "probe", "weights", "verdict"]
      return NSDictionary(dictionary: run.json.filter { names.contains($0.key) })
    }
    let without = try [run("--no-cache", to: caches), run("--no-hashes", to: caches)]
    #expect(!FileManager.default.fileExists(atPath: caches) && without.allSatisfy { reused($0) == nil })
    let first = try run(to: caches), second = try run(to: caches)
    #expect(first.status == second.status && reused(first) == nil && first.errors.isEmpty, "\(first.errors)")
    #expect(reused(second) == ["the base"] + NullKind.kinds(for: .f32).map(\.rawValue))
    #expect(numbers(second).count == 6 && numbers(first) == numbers(second) && numbers(first) == numbers(without[0]))
    // Damage is repaired.
    let files = try FileManager.default.contentsOfDirectory(atPath: "\(caches)/lathe/audits")
    #expect(files.count == NullKind.kinds(for: .f32).count + 1)
    for name in files { try Data("damaged".utf8).write(to: URL(filePath: "\(caches)/lathe/audits/\(name)")) }
    let third = try run(to: caches), fourth = try run(to: caches)
    #expect(reused(third) == nil && numbers(third) == numbers(first) && reused(fourth) == reused(second))
    // Where nothing can be kept the audit goes on, and says so.
    let refused = try run(to: "/dev/null/caches")
    #expect(refused.status == first.status && numbers(refused) == numbers(first))
    #expect(refused.errors.contains("nothing is kept for other audits") && refused.errors.contains("--no-cache"))
  }

  @Test(
    "a resize to a twentieth fails, and the worst layers are those that the factors say",
    arguments: ["sepia-r64", "sketch"])
  func twentieth(_ name: String) throws {
    let small = try resized(name, percent: 5)
    let run = try audit(["--before", Toybox.adapter(name), "--after", small])
    #expect(run.status == 1, "\(run.errors)")
    #expect(run.json["verdict"] as? String == "different")
    #expect(checks(run)["pictures.ssimulacra2"]?["pass"] as? Bool == false)
    // The same by another way: from the factors alone, in double precision.
    let compare = try Tool.run(["compare", Toybox.adapter(name), small, "--json"])
    let targets = try #require(compare.json["targets"] as? [[String: Any]])
    let worst = try #require(
      targets.max {
        func error(_ row: [String: Any]) -> Double {
          (row["relative_error"] as? Double ?? .nan) * (row["norm_a"] as? Double ?? .nan)
        }
        return error($0) < error($1)
      })
    let named = try #require(checks(run)["weights.relative_error"]?["worst"] as? String)
    let path = named.dropLast(".weight".count).replacing(".", with: "_")
    #expect((worst["name"] as? String ?? "").hasSuffix(path), "\(worst["name"] ?? "") and \(named)")
    let error = try #require(compare.json["relative_error"] as? Double)
    #expect(abs(value("weights.relative_error", run) - error) <= 1e-5 * error)
    #expect((run.json["reasons"] as? [String])?.isEmpty == false)
  }

  @Test("a stack merged exactly, and baked in 16 bits, is the stack within the noise")
  func exact() throws {
    let merged = folder.file("merged.safetensors"), baked = folder.file("baked")
    #expect(try Tool.run(["merge"] + Self.stack + ["-o", merged, "--quiet"]).status == 0)
    #expect(try Tool.run(["bake", Toybox.model] + Self.stack + ["-o", baked, "--quiet"]).status == 0)
    for after in [merged, baked] {
      let run = try audit(["--before"] + Self.stack + ["--after", after])
      #expect(run.status == 0, "\(run.errors)")
      #expect(run.json["verdict"] as? String == "within noise", "\(after): \(run.json["checks"] ?? "")")
    }
    // Baked against merged, in the other direction, and with an adapter on top of both.
    let mixed = try audit(
      ["--before", merged, Toybox.adapter("neon"), "--after", baked, Toybox.adapter("neon"), "--weights-only"],
      pictures: false)
    #expect(mixed.status == 0 && value("weights.relative_error", mixed) <= 0.003, "\(mixed.errors)")
  }

  @Test("a bake in 8 bits without scales fails, and the report says why")
  func eightBits() throws {
    let baked = folder.file("baked")
    #expect(
      try Tool.run(["bake", Toybox.model] + Self.stack + ["-o", baked, "--dtype", "f8_e4m3", "--quiet"]).status == 0)
    let run = try audit(["--before"] + Self.stack + ["--after", baked])
    #expect(run.status == 1)
    let reasons = try #require(run.json["reasons"] as? [String])
    #expect(reasons.first?.hasPrefix("The checkpoint stores f8_e4m3 numbers without a scale") == true, "\(reasons)")
    #expect(checks(run)["keys.added"]?["pass"] as? Bool == false)
  }

  @Test("another strength, lost targets and broken numbers are found, each by its check")
  func faults() throws {
    let sketch = Toybox.adapter("sketch")
    func failed(_ after: [String]) throws -> Set<String> {
      let run = try audit(["--before", sketch, "--after"] + after + ["--weights-only"], pictures: false)
      #expect(run.status == 1, "\(run.errors)")
      return Set(checks(run).filter { $0.value["pass"] as? Bool == false }.keys)
    }
    #expect(try failed(["\(sketch)@0.8"]) == ["weights.scale"])
    #expect(try failed([sketch, Toybox.adapter("glitter")]).contains("weights.relative_error"))
    let broken = try BrokenCopies(of: sketch, in: folder)
    #expect(try failed([broken.lackingTargets]).contains("keys.lost"))
    #expect(try failed([broken.withStrangers]).contains("keys.unplaced"))
    #expect(try failed([broken.notFinite]).contains("numbers.not_finite"))
  }

  @Test("broken numbers are a finding, not an error, and nothing is rendered with them")
  func notFinite() throws {
    let sketch = Toybox.adapter("sketch"), broken = try BrokenCopies(of: sketch, in: folder)
    let run = try audit(["--before", sketch, "--after", broken.notFinite])
    #expect(run.status == 1, "\(run.errors)")
    let left = try #require(run.json["not_measured"] as? [String])
    #expect(left.count == 2 && left[0] == "noise prediction and pictures: the numbers are broken", "\(left)")
    #expect((run.json["pictures"] as? [Any])?.isEmpty == true)
    let before = try audit(["--before", broken.notFinite, "--after", sketch])
    #expect(before.status == 65 && before.errors.contains("expected finite numbers, found"), "\(before.errors)")
  }

  @Test("a tag of an adapter in a prompt is refused, and not drawn as words")
  func tags() throws {
    let sides = ["--before", Toybox.adapter("sketch"), "--after", Toybox.adapter("sketch")]
    let file = folder.file("p.yaml"), tag = "a robot <lora:neon:0.5>"
    try "prompts:\n  - prompt: a robot\n    negative: \(tag)\n".write(toFile: file, atomically: true, encoding: .utf8)
    let message =
      "prompt: expected no tags of adapters, found \"\(tag)\"; hint: an audit's adapters belong to --before and --after"
    for prompts in [["--prompt", tag], ["--prompt", "a robot", "--negative", tag], ["--prompts", file]] {
      let run = try audit(sides + prompts, pictures: false)
      #expect(run.status == 64 && run.errors.contains(message), "\(run.errors)")
    }
    // Angle brackets alone are text.
    let run = try audit(sides + ["--prompt", "a <red> robot", "--steps", "1", "--strengths", "1"], pictures: false)
    #expect(run.status == 0, "\(run.errors)")
  }

  @Test("a limit can be set; a misspelled one is refused")
  func limits() throws {
    let sides = ["--before", Toybox.adapter("sketch"), "--after", Toybox.adapter("sketch") + "@0.99", "--weights-only"]
    #expect(try audit(sides, pictures: false).status == 0)
    #expect(try audit(sides + ["--limit", "weights.relative_error=0.001"], pictures: false).status == 1)
    for wrong in ["weights.error=1", "weights.scale", "weights.scale=x", "weights.scale=nan"] {
      #expect(try audit(sides + ["--limit", wrong], pictures: false).status == 64, "\(wrong)")
    }
  }

  @Test("what is missing or does not go together is refused in one line, without a report")
  func refusals() throws {
    let sketch = Toybox.adapter("sketch"), out = folder.file("out")
    for (arguments, status) in [
      (["--before", sketch, "--after", folder.file("none.safetensors")], 66),
      (["--before", sketch, "--after", Goldens.path("diffusion/sd1-pipeline")], 65),
      (["--before", "\(sketch)@0", "--after", sketch], 65),
      (["--before", Toybox.model, "\(Toybox.model)", "--after", sketch], 65),
      (["--before", sketch, "--after", sketch, "--prompts", folder.file("none.txt")], 66),
      (["--before", sketch, "--after", sketch, "--prompt", "x", "--size", "100x100"], 64),
      (["--before", sketch, "--after", sketch, "--prompt", "x", "--weights-only"], 64),
      (["--before", sketch, "--after", sketch, "--against", sketch], 65),
    ] as [([String], Int32)] {
      let run = try audit(arguments + ["-o", out], pictures: false)
      #expect(run.status == status, "\(arguments): \(run.errors)")
      #expect(run.errors.split(separator: "\n").count <= 3 || run.status == 64, "\(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: out))
    }
  }
}

/// The report's folder, and reports of earlier audits.
@Suite struct AuditOutputTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func audit(_ after: String, _ arguments: [String] = [], pictures: Bool = false) throws -> Tool.Run {
    try Tool.run(
      ["audit", Toybox.model, "--before", Toybox.adapter("sketch"), "--after", after, "--quiet"] + arguments
        + (pictures ? ["--prompt", "a <cat> & \"dog\"", "--steps", "1", "--strengths", "1"] : ["--weights-only"]))
  }

  private func files(_ name: String) throws -> Set<String> {
    Set(try FileManager.default.subpathsOfDirectory(atPath: folder.file(name)))
  }

  @Test("the report is one folder, complete: page, tables, pictures, and the numbers that standard output has")
  func contents() throws {
    let run = try audit("\(Toybox.adapter("sketch"))@0.97", ["-o", folder.file("out"), "--json"], pictures: true)
    #expect(run.status == 0, "\(run.errors)")
    // A processor with bf16 has another harmless change.
    let found = try Set(files("out").filter { !$0.hasPrefix("pictures/null-2") })
    #expect(
      found == [
        "report.html", "report.json", "report.md", "checks.csv", "targets.csv", "pictures.csv", "pictures",
        "pictures/01-before.png", "pictures/01-after.png", "pictures/01-difference.png", "pictures/null-1-01.png",
      ])
    let json = try String(contentsOfFile: folder.file("out/report.json"), encoding: .utf8)
    #expect(json == run.output)
    let page = try String(contentsOfFile: folder.file("out/report.html"), encoding: .utf8)
    #expect(!page.contains("<cat>") && page.contains("data:image/png;base64,"))
    #expect((run.json["recipe"] as? [String: Any])?["command"] is [String])
  }

  @Test("a folder that exists is kept; --force replaces a report, and nothing else")
  func replacing() throws {
    let out = folder.file("out"), same = Toybox.adapter("sketch")
    #expect(try audit(same, ["-o", out]).status == 0)
    let first = try String(contentsOfFile: out + "/report.json", encoding: .utf8)
    #expect(try audit(same, ["-o", out]).status == 73)
    #expect(try String(contentsOfFile: out + "/report.json", encoding: .utf8) == first)
    #expect(try audit("\(same)@0.95", ["-o", out, "--force"]).status == 0)
    #expect(try String(contentsOfFile: out + "/report.json", encoding: .utf8) != first)
    let other = folder.file("other")
    try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: false)
    try Data("precious".utf8).write(to: URL(filePath: other + "/diary.txt"))
    #expect(try audit(same, ["-o", other, "--force"]).status == 73)
    #expect(try files("other") == ["diary.txt"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["other", "out"])
  }

  @Test("an earlier report is a gate: the same passes, worse fails, and another base or set of prompts is refused")
  func earlier() throws {
    let sketch = Toybox.adapter("sketch"), report = folder.file("out/report.json")
    #expect(try audit("\(sketch)@0.98", ["-o", folder.file("out")]).status == 0)
    #expect(try audit("\(sketch)@0.98", ["--against", report]).status == 0)
    #expect(try audit("\(sketch)@0.99", ["--against", report]).status == 0)
    let worse = try audit("\(sketch)@0.97", ["--against", report, "--json"])
    #expect(worse.status == 1 && worse.json["verdict"] as? String == "different")
    let failed = (worse.json["checks"] as? [[String: Any]] ?? []).filter { $0["pass"] as? Bool == false }
    #expect(Set(failed.compactMap { $0["name"] as? String }).isSuperset(of: ["against.weights.scale"]))
    let pictures = try audit("\(sketch)@0.98", ["--against", report], pictures: true)
    #expect(
      pictures.status == 65 && pictures.errors.contains("prompts: expected those of that report"), "\(pictures.errors)")
    let fixture = try RenderFixture()
    let base = try Tool.run([
      "audit", RenderFixture.sd1, "--before", try fixture.adapter(), "--after", RenderFixture.sd1,
      "--weights-only",
      "--quiet", "--against", report,
    ])
    #expect(base.status == 65 && base.errors.contains("base: expected the same"), "\(base.errors)")
  }
}

/// An adapter, damaged.
struct BrokenCopies {
  let lackingTargets: String
  let withStrangers: String
  let notFinite: String

  init(of path: String, in folder: TemporaryFolder) throws {
    let tensors = try AdapterTensors(path: path)
    lackingTargets = folder.file("lacking.safetensors")
    try writeTensors(tensors.all.filter { !$0.name.contains("attn1") && !$0.name.contains("ff") }, to: lackingTargets)
    withStrangers = folder.file("strangers.safetensors")
    try writeTensors(tensors.all + tensors.renamed(from: "down_blocks_1", to: "down_blocks_9"), to: withStrangers)
    notFinite = folder.file("broken.safetensors")
    try writeTensors(tensors.withNaN, to: notFinite)
  }
}

/// `resize --until`: the smallest file that is good enough, by the audit's own measures.
@Suite(.serialized) struct ResizeUntilTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func resize(_ arguments: [String], output: String = "small.safetensors") throws -> Tool.Run {
    try Tool.run(
      ["resize", Toybox.adapter("sepia-r64"), "-o", folder.file(output), "--quiet", "--json"] + arguments)
  }

  @Test("a tag of an adapter in a prompt is refused")
  func tags() throws {
    let run = try resize(["--until", "effect<=0.05", "--base", Toybox.model, "--prompt", "a robot <lora:neon:0.5>"])
    #expect(run.status == 64 && run.errors.contains("prompt: expected no tags of adapters, found"), "\(run.errors)")
    #expect(try folder.names.isEmpty)
  }

  @Test("the file keeps its limit as the audit measures it, every try is told, and none is left behind")
  func probe() throws {
    let prompt = ["--prompt", "a red robot on the beach"]
    let run = try resize(["--until", "effect<=0.05", "--base", Toybox.model] + prompt)
    #expect(run.status == 0, "\(run.errors)")
    let until = try #require(run.json["until"] as? [String: Any])
    let tries = try #require(until["tries"] as? [[String: Any]])
    let passing = tries.filter { $0["passes"] as? Bool == true }.compactMap { $0["bytes"] as? Int }
    let failing = tries.filter { $0["passes"] as? Bool == false }.compactMap { $0["bytes"] as? Int }
    #expect(tries.count >= 8 && passing.count + failing.count == tries.count)
    // The smallest that passed was written, and none that was larger failed.
    #expect(run.json["bytes"] as? Int == passing.min() && (failing.max() ?? 0) < passing.min()!)
    let audit = try Tool.run(
      [
        "audit", Toybox.model, "--before", Toybox.adapter("sepia-r64"), "--after", folder.file("small.safetensors"),
        "--json", "--quiet", "--strengths", "1", "--steps", "1", "--limit", "probe.effect_error=0.05",
      ] + prompt)
    let checks = audit.json["checks"] as? [[String: Any]] ?? []
    #expect(checks.first { $0["name"] as? String == "probe.effect_error" }?["pass"] as? Bool == true)
    #expect(try folder.names == ["small.safetensors"])
    let temporary = try FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
    #expect(!temporary.contains { $0.contains("-try-") })
  }

  @Test("pictures can be the measure")
  func pictures() throws {
    let run = try resize([
      "--until", "ssim >= 0.99", "--base", Toybox.model, "--prompt", "a cat", "--strengths", "1", "--steps", "4",
    ])
    #expect(run.status == 0, "\(run.errors)")
    #expect((run.json["until"] as? [String: Any])?["measure"] as? String == "pictures.ssim")
  }

  @Test("what cannot be kept, is misspelled or lacks its base is refused, and writes nothing")
  func refusals() throws {
    for (arguments, status, message) in [
      (
        ["--until", "probe<=1e-9", "--base", Toybox.model, "--dtype", "bf16"], 65,
        "expected the whole adapter to keep the limit"
      ),
      (["--until", "probe>=0.1", "--base", Toybox.model], 64, ""),
      (["--until", "beauty>=1", "--base", Toybox.model], 64, ""),
      (["--until", "probe<=0.1"], 64, "expected --base"),
      (["--until", "ssim>=0.9", "--base", Toybox.model], 64, "expected --prompts"),
      (["--until", "probe<=0.1", "--base", Toybox.model, "--rank", "4"], 64, "expected no other rule"),
      (["--rank", "4", "--prompt", "a cat"], 64, "expected --until"),
    ] as [([String], Int32, String)] {
      let run = try resize(arguments)
      #expect(run.status == status && (message.isEmpty || run.errors.contains(message)), "\(arguments): \(run.errors)")
      #expect(try folder.names.isEmpty)
    }
  }
}
