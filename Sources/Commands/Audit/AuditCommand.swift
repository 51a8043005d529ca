import ArgumentParser
import Audit
import Checkpoints
import Factoring
import Files
import Foundation
import JSON
import Kernels
import Rendering
import Reports
import Tensors

struct AuditCommand: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Says whether the small, merged or baked one is still the same: numbers, pictures, an exit code.",
    discussion: """
      Compares what is added to the base before and after: adapters (a stack counts as one), or a checkpoint in the base's
      place. Weights are compared exactly, the UNet is asked about the same noisy latents, and the same pictures are made
      with both, beside those of harmless changes of precision: the noise. Exit code 1 when a check fails.

      DIR gets report.html (one file, opens from disk), report.json, report.md, tables and pictures.

      Examples:
        lathe audit sd15.safetensors --before style.safetensors --after style-small.safetensors --prompts p.txt -o audit
        lathe audit sdxl/ --before a.safetensors@0.8 b.safetensors@0.5 --after merged.safetensors --prompts p.yaml -o audit
        lathe audit sd15.safetensors --before style.safetensors --after baked.safetensors --limit probe.relative_error=0.01
        lathe audit flux/ --before style.safetensors --after style-small.safetensors --weights-only -o audit
        lathe audit sd15.safetensors --manifest pairs.csv --prompts p.txt --shard 1/4 -o audits
        lathe audit sd15.safetensors --manifest pairs.csv --prompts p.txt --collect -o audits

      Many audits: each row of a manifest has a name, which is the folder of its report in DIR, and its files relative to the
      manifest; several FILE@STRENGTH of a side are separated by ";". One line tells of each; a row that cannot be audited is
      named, and the others go on: exit code 1 when an audit fails, else 2 when a row has none.
      """)

  @Argument(help: "A base checkpoint: file, index of shards, or folder. With --manifest, for rows that name none.")
  var base: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Adapters with their strengths, FILE@0.8, or a checkpoint.", valueName: "file"),
    transform: AdapterArgument.init)
  var before: [AdapterArgument] = []

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("The same for what came of them.", valueName: "file"),
    transform: AdapterArgument.init)
  var after: [AdapterArgument] = []

  @OptionGroup var batch: AuditBatchOptions

  @OptionGroup var scenes: AuditSceneOptions

  @Option(
    help: ArgumentHelp(
      "Width and height, multiples of 8 (default: the model's; 256x256 is several times as fast).", valueName: "WxH"))
  var size: PictureSize?

  @Flag(help: "Compare the weights only, of models that cannot be rendered too.")
  var weightsOnly = false

  @Option(
    help: ArgumentHelp(
      "Another limit for a check, NAME=NUMBER with a name of the report; may be given several times.",
      valueName: "name=number"))
  var limit: [LimitArgument] = []

  @Option(
    help: ArgumentHelp("Fail also when a check is worse than in this report of an earlier audit.", valueName: "json"))
  var against: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("Write the report into this new folder.", valueName: "folder"))
  var output: String?

  @Flag(help: "Replace the report of an earlier audit.")
  var force = false

  @Flag(inversion: .prefixedNo, help: "Note the hashes of all files, for which they are read whole.")
  var hashes = true

  @Flag(
    inversion: .prefixedNo,
    help: "Keep what was rendered of the base and of harmless changes for other audits; needs hashes.")
  var cache = true

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard !weightsOnly || !scenes.hasPrompts else {
      throw ValidationError("expected --weights-only or prompts, found both")
    }
    guard batch.manifest == nil else {
      guard before.isEmpty, after.isEmpty else {
        throw ValidationError("expected --manifest, or --before and --after, found both")
      }
      guard output != nil else { throw ValidationError("--manifest: expected -o <folder> beside it, found none") }
      return
    }
    for (name, isThere) in [("BASE", base != nil), ("--before", !before.isEmpty), ("--after", !after.isEmpty)] {
      guard isThere else { throw ValidationError("\(name): expected one, found none") }
    }
  }

  var usesEngine: Bool { !weightsOnly && !batch.collect }
  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    if let manifest = batch.manifest, let output {
      let batch = try AuditBatchRun(self, manifest: manifest, output: output)
      return self.batch.collect ? try batch.collect() : try batch.run()
    }
    let earlier = try earlierReport()
    let known = KnownHashes()
    let plan = try self.plan(
      of: AuditPair(base: base!, before: before.map(\.input), after: after.map(\.input)), known: known)
    let destination = try output.map { try AuditOutput($0, overwriting: force) }
    let (report, result) = try measure(plan, earlier: earlier, known: known)
    try destination?.write(report, result)
    try common.show(report, text: report.text(width: Console.width, page: destination?.page))
    return report.passed ? .done : .failed
  }

  /// The report that `--against` names.
  func earlierReport() throws -> AuditReport? { try against.map { try AuditReport(path: $0) } }

  /// What an audit would do with the options given.
  ///
  /// - Parameter known: hashes of files that other audits share with this one.
  func plan(of pair: AuditPair, known: KnownHashes) throws -> AuditPlan {
    let folder = cache && hashes ? AuditCache.userFolder(in: ProcessInfo.processInfo.environment) : nil
    let checkpoint = try Checkpoint(path: pair.base)
    let sides = try [pair.before, pair.after].map { try AuditSide($0, base: checkpoint) }
    let model = weightsOnly ? nil : try PictureModel(checkpoint)
    var limits = AuditLimits(), scenes = scenes
    for argument in limit { limits[argument.measure] = argument.limit }
    scenes.scene.prompts = pair.prompts ?? scenes.scene.prompts
    return AuditPlan(
      before: sides[0], after: sides[1], scenes: try model.map { try scenes.scenes($0, size: (size, "--size")) } ?? [],
      rendering: try model.map { try scenes.rendering($0, of: checkpoint, threads: common.threads) }, limits: limits,
      threads: common.threads, cache: folder.map { AuditCache(folder: $0, hashes: known) })
  }

  /// Measures everything, and reports on it.
  ///
  /// - Parameter known: hashes of files that other audits share with this one.
  func measure(
    _ plan: AuditPlan, earlier: AuditReport?, known: KnownHashes
  ) throws -> (AuditReport, AuditResult) {
    let warnings = plan.warnings
    common.warn(warnings)
    let progress = AuditProgress(plan, isQuiet: common.quiet)
    var result = try plan.run { progress.update($0) }
    progress.finish()
    if let problem = plan.cache?.problem {
      common.warn([
        "\(problem.cause.line); nothing is kept for other audits; hint: --no-cache, or another XDG_CACHE_HOME"
      ])
    }
    var recipe = try AuditRecipe(
      plan, command: ["lathe"] + CommandLine.arguments.dropFirst(), hashes: hashes ? known : nil)
    recipe.reused = result.reused.isEmpty ? nil : result.reused
    if let earlier { try result.compare(with: earlier.earlier, under: recipe.conditions, path: against!) }
    let report = AuditReport(
      result, recipe: recipe, notMeasured: notMeasured(plan), warnings: warnings, words: .commandLine)
    return (report, result)
  }

  private func notMeasured(_ plan: AuditPlan) -> [String] {
    if plan.rendering == nil { return ["noise prediction and pictures: --weights-only"] }
    return plan.scenes.isEmpty ? ["pictures: no prompts (--prompts FILE or --prompt TEXT)"] : []
  }
}

extension AuditReport {
  /// Reads the report of an earlier audit.
  ///
  /// - Throws: `FileError.missing`, or `AuditError` for a file that is something else.
  fileprivate init(path: String) throws {
    let bytes = try MappedFile(path: path).bytes
    do {
      // Before it is copied: a file may be of any size.
      guard bytes.count <= JSONValue.mostBytes else { throw CocoaError(.fileReadTooLarge) }
      self = try bytes.withUnsafeBytes { try AuditReport(jsonText: Data($0)) }
    } catch {
      throw AuditError(.side(reason: "expected a report.json of lathe audit, found something else"), path: path)
    }
  }
}
