import ArgumentParser
import Foundation
import Safetensors

/// Measures the main jobs on an adapter and a checkpoint of SDXL's size, against a plain copy of the same bytes in the
/// same run.
@main
struct Benchmark: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "lathe-benchmark")

  @Argument(help: "The lathe program to measure.")
  var tool: String

  @Option(help: .hidden)
  var make: String?

  @Option(help: .hidden)
  var makeBase: String?

  @Option(help: .hidden)
  var makeFull: String?

  @Option(help: .hidden)
  var kind = SDXLFullAdapter.Kind.differences.rawValue

  @Option(help: .hidden)
  var seed: UInt64 = 0

  @Option(help: "Where inputs and outputs go; made if missing.")
  var folder = NSTemporaryDirectory() + "lathe-benchmark"

  @Option(help: "How often each case runs.")
  var runs = 5

  @Option(help: "Only cases whose name contains this.")
  var only = ""

  struct Case {
    var name: String
    var arguments: [String]
    /// Bytes that a plain copy would read and write: the limit of what is possible.
    var reads: [String]
    var writes: Int
    /// What `cp` copies for comparison, where that is the measure.
    var copied: String? = nil
    var check: ([String: Any]) -> String?
  }

  func run() throws {
    if let makeBase { return try SDXLCheckpoint.write(to: makeBase) }
    if let makeFull { return try SDXLFullAdapter(kind: .init(rawValue: kind)!).write(to: makeFull) }
    if let make { return try SDXLAdapter(rank: 64, seed: seed).write(to: make) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let inputs = try (0..<3).map { try adapter($0) }
    let output = folder + "/output.safetensors", base = folder + "/sdxl-base.safetensors"
    let cases = [
      Case(name: "inspect", arguments: ["inspect", inputs[0]], reads: [], writes: 0, check: { _ in nil }),
      Case(
        name: "inspect --json --no-hashes", arguments: ["inspect", "--json", "--no-hashes", inputs[0]], reads: [],
        writes: 0,
        check: { ($0["targets"] as? [Any])?.count == 794 ? nil : "expected 794 targets" }),
      Case(
        name: "spectrum", arguments: ["spectrum", "--json", "--quiet", inputs[0]], reads: [inputs[0]], writes: 0,
        check: { report in
          let targets = report["targets"] as? [[String: Any]] ?? []
          let norms = targets.compactMap { $0["norm"] as? Double }
          return targets.count == 794 && norms.allSatisfy { $0 > 0 && $0.isFinite }
            ? nil : "expected 794 positive norms"
        }),
      Case(
        name: "resize to 85 MB",
        arguments: ["resize", "--json", "--quiet", "--force", inputs[0], "-o", output, "--size", "85MB"],
        reads: [inputs[0]], writes: 85_000_000,
        check: { Self.checkSize($0, output, limit: 85_000_000) }),
      Case(
        name: "merge 3, cut to 85 MB",
        arguments: [
          "merge", "--json", "--quiet", "--force", inputs[0] + "@0.7", inputs[1] + "@0.5", inputs[2] + "@-0.3", "-o",
          output, "--size", "85MB",
        ],
        reads: inputs, writes: 85_000_000, check: { Self.checkSize($0, output, limit: 85_000_000) }),
      Case(
        name: "merge 3, exact",
        arguments: [
          "merge", "--json", "--quiet", "--force", inputs[0] + "@0.7", inputs[1] + "@0.5", inputs[2] + "@-0.3", "-o",
          output,
        ],
        reads: inputs, writes: 1_140_000_000,
        check: { ($0["relative_error"] as? Double ?? 1) < 1e-3 ? nil : "expected an exact sum" }),
      Case(
        name: "bake one adapter",
        arguments: ["bake", "--json", "--quiet", "--force", base, inputs[0] + "@0.8", "-o", output],
        reads: [], writes: 0, copied: base, check: { Self.checkBake($0, changed: 794) }),
      Case(
        name: "bake one adapter, --undo",
        arguments: [
          "bake", "--json", "--quiet", "--force", base, inputs[0] + "@0.8", "-o", output, "--undo", folder + "/undo",
        ],
        reads: [], writes: 0, copied: base, check: { Self.checkBake($0, changed: 794) }),
      Case(
        name: "bake three adapters",
        arguments: [
          "bake", "--json", "--quiet", "--force", base, inputs[0] + "@0.7", inputs[1] + "@0.5", inputs[2] + "@-0.3",
          "-o", output,
        ],
        reads: [], writes: 0, copied: base, check: { Self.checkBake($0, changed: 794) }),
    ]
    let full = only.contains("full") ? try fullCases(base: base, output: output) : []
    let chosen = (cases + full).filter { only.isEmpty || $0.name.contains(only) }
    if chosen.contains(where: { $0.copied != nil || $0.arguments.contains(base) }) { try makeCheckpoint(base) }
    print("case                          median s   best s   copy s   ratio   peak MB")
    for item in chosen { try measure(item, output: output) }
  }

  /// Jobs on adapters whose deltas are full matrices, which take minutes: only with `--only full`, and best with `--runs 1`.
  private func fullCases(base: String, output: String) throws -> [Case] {
    var paths: [SDXLFullAdapter.Kind: String] = [:]
    for kind in SDXLFullAdapter.Kind.allCases {
      let path = "\(folder)/sdxl-\(kind.rawValue).safetensors"
      if !FileManager.default.fileExists(atPath: path) {
        var making = Measurement()
        try making.run([CommandLine.arguments[0], tool, "--make-full", path, "--kind", kind.rawValue])
      }
      paths[kind] = path
    }
    let (differences, kronecker, dora) = (paths[.differences]!, paths[.kronecker]!, paths[.dora]!)
    func job(
      _ name: String, _ arguments: [String], _ inputs: [(path: String, strength: Double)],
      _ result: DenseReference.Result
    ) -> Case {
      Case(
        name: "full: " + name, arguments: arguments + ["--json", "--quiet"], reads: [], writes: 0,
        check: { report in
          do {
            return try DenseReference(inputs: inputs, base: base).fault(of: report, result)
          } catch {
            return "\(error)"
          }
        })
    }
    let written = ["--force", "-o", output, "--rank", "64"]
    return [
      job("spectrum of differences", ["spectrum", differences], [(differences, 1)], .spectrum),
      job("spectrum of dora", ["spectrum", dora, "--base", base], [(dora, 1)], .spectrum),
      job("spectrum of lokr", ["spectrum", kronecker], [(kronecker, 1)], .spectrum),
      job("differences at rank 64", ["resize", differences] + written, [(differences, 1)], .rank(64)),
      job("lokr at rank 64", ["resize", kronecker] + written, [(kronecker, 1)], .rank(64)),
      job(
        "merge of all, rank 64",
        ["merge", differences + "@0.7", dora + "@0.5", kronecker + "@0.3", "--base", base] + written,
        [(differences, 0.7), (dora, 0.5), (kronecker, 0.3)], .rank(64)),
    ]
  }

  private func measure(_ item: Case, output: String) throws {
    var work = Measurement(), copy = Measurement()
    let first = try work.run([tool] + item.arguments)
    if item.arguments.contains("--json") {
      let report = try JSONSerialization.jsonObject(with: first) as? [String: Any] ?? [:]
      if let fault = item.check(report) { throw Measurement.Failure(message: "\(item.name): \(fault)") }
    }
    // The first run warmed the caches; it does not count.
    work = Measurement()
    for _ in 0..<runs {
      // Freeing gigabytes of an old output takes a second, which is not the tool's.
      try? FileManager.default.removeItem(atPath: output)
      try work.run([tool] + item.arguments)
      if let file = item.copied {
        try copy.run(["/bin/cp", file, folder + "/copy"])
        try FileManager.default.removeItem(atPath: folder + "/copy")
      } else if !item.reads.isEmpty {
        try copy.seconds.append(Self.plainCopy(item.reads, writing: item.writes, to: folder + "/copy"))
      }
    }
    let baseline = copy.seconds.isEmpty ? nil : copy.median
    func field(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    print(
      item.name.padding(toLength: 28, withPad: " ", startingAt: 0), field(String(format: "%.3f", work.median), 9),
      field(String(format: "%.3f", work.fastest), 8), field(baseline.map { String(format: "%.3f", $0) } ?? "–", 8),
      field(baseline.map { String(format: "%.2f", work.median / $0) } ?? "–", 7),
      field("\(work.peakBytes / 1_000_000)", 9))
  }

  /// Reads all of the files and writes and syncs so many bytes of them: what no tool can be faster than.
  private static func plainCopy(_ files: [String], writing count: Int, to path: String) throws -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    var sum: UInt8 = 0
    var left = count
    try Data().write(to: URL(fileURLWithPath: path))
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    for file in files {
      let input = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
      while let block = try input.read(upToCount: 8 << 20), !block.isEmpty {
        sum ^= block.last!
        let part = block.prefix(left)
        if !part.isEmpty { try handle.write(contentsOf: part) }
        left -= part.count
      }
    }
    if count > 0 { try handle.synchronize() }
    try handle.close()
    try FileManager.default.removeItem(atPath: path)
    return Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9 + Double(sum) * 1e-30
  }

  private static func checkSize(_ report: [String: Any], _ output: String, limit: Int) -> String? {
    let size = (try? FileManager.default.attributesOfItem(atPath: output)[.size] as? Int) ?? 0
    guard size <= limit, size > limit - 100_000 else {
      return "expected a file just below \(limit) bytes, found \(size)"
    }
    guard let error = report["relative_error"] as? Double, let bound = report["lower_bound"] as? Double, error >= bound,
      error < bound + 0.01
    else {
      return "expected an error close to its lower bound"
    }
    return nil
  }

  private static func checkBake(_ report: [String: Any], changed: Int) -> String? {
    guard report["weights_changed"] as? Int == changed, let survival = report["survival"] as? Double else {
      return "expected \(changed) changed weights"
    }
    return (0.99...1.01).contains(survival) ? nil : "expected the delta to survive in half precision, found \(survival)"
  }

  private func makeCheckpoint(_ path: String) throws {
    guard !FileManager.default.fileExists(atPath: path) else { return }
    var making = Measurement()
    try making.run([CommandLine.arguments[0], tool, "--make-base", path])
  }

  private func adapter(_ index: Int) throws -> String {
    let path = "\(folder)/sdxl-rank64-\(index).safetensors"
    // In a process of its own: the peak memory of children would otherwise begin at this one's.
    if !FileManager.default.fileExists(atPath: path) {
      var making = Measurement()
      try making.run([CommandLine.arguments[0], tool, "--make", path, "--seed", String(1000 * (index + 1))])
    }
    return path
  }
}
