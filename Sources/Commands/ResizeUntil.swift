import ArgumentParser
import Audit
import Checkpoints
import Factoring
import Files
import Foundation
import Rendering
import Reports

/// Options of `resize --until`.
struct ResizeUntilOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Smallest file with a result that is good enough, found by trying: probe<=0.02, effect<=0.1, ssim>=0.98, "
        + "ms-ssim>=0.99, ssimulacra2>=80 or psnr>=35, as lathe audit measures them; with --base.", valueName: "limit"))
  var until: UntilArgument?

  @Option(
    help: ArgumentHelp(
      "The base checkpoint: to look at it with, for --until; and for deltas that depend on it.", valueName: "path"))
  var base: String?

  @OptionGroup(title: "Pictures for --until") var scenes: AuditSceneOptions

  @Option(help: ArgumentHelp("Width and height of pictures, multiples of 8 (default: the model's).", valueName: "WxH"))
  var pictureSize: PictureSize?

  mutating func validate() throws {
    guard let until else {
      guard !scenes.hasPrompts else { throw ValidationError("--prompts: expected --until beside it, found none") }
      return
    }
    guard base != nil else { throw ValidationError("--until: expected --base <checkpoint> beside it, found none") }
    guard scenes.hasPrompts || AuditMeasure.ofProbe.contains(until.measure) else {
      throw ValidationError("--until \(until.text): expected --prompts or --prompt beside it, found neither")
    }
  }
}

/// `ssim>=0.98`: a measure and the limit that is good enough.
struct UntilArgument: ExpressibleByArgument {
  let measure: AuditMeasure
  let limit: Double
  /// As it was written.
  let text: String

  private static let names: [String: AuditMeasure] = [
    "probe": .probeError, "effect": .effectError, "ssim": .structuralSimilarity, "ms-ssim": .multiScaleSimilarity,
    "ssimulacra2": .perceptualScore, "psnr": .peakSignalToNoise,
  ]

  init?(argument: String) {
    text = argument.filter { $0 != " " }
    for sign in ["<=", ">="] {
      guard let place = text.firstRange(of: sign) else { continue }
      guard let measure = Self.names[String(text[..<place.lowerBound]).lowercased()],
        let limit = Double(text[place.upperBound...]), limit.isFinite, measure.isLeast == (sign == ">=")
      else { return nil }
      (self.measure, self.limit) = (measure, limit)
      return
    }
    return nil
  }

  func isKept(by value: Double) -> Bool { measure.isLeast ? value >= limit : value <= limit }
}

/// Looks for the smallest file that is good enough: writes one, asks the UNet, and halves what is left to choose from.
struct ResizeUntil {
  let until: UntilArgument
  private let decomposed: DecomposedPlan
  private let base: Checkpoint
  private let gauge: AuditGauge
  private let common: CommonOptions

  init(_ options: ResizeUntilOptions, _ decomposed: DecomposedPlan, common: CommonOptions) throws {
    (until, self.decomposed, self.common) = (options.until!, decomposed, common)
    base = try Checkpoint(path: options.base!)
    let model = try PictureModel(base)
    let original = try AuditSide([.init(path: decomposed.plan.adapters[0].path)], base: base)
    common.announce("asking \(base.path) about the original")
    gauge = try AuditGauge(
      until.measure, of: original,
      scenes: try options.scenes.scenes(model, size: (options.pictureSize, "--picture-size")),
      rendering: try options.scenes.rendering(model, of: base, threads: common.threads))
  }

  /// - Returns: the rule for the smallest file, and all that was tried.
  /// - Throws: `ResizeUntilError` when not even all components are good enough, and what writing and rendering throw.
  func search() throws -> (rule: RankRule, report: UntilReport) {
    var tries: [UntilReport.Try] = []
    let count = decomposed.componentCount
    let found = try smallestPassing(in: min(1, count)...max(1, count)) { components in
      let attempt = try value(components: components)
      tries.append(attempt)
      common.announce("  " + attempt.line(until.text))
      return attempt.passes
    }
    guard let found else {
      throw ResizeUntilError(
        path: decomposed.plan.adapters[0].path, limit: until.text, best: tries[0].value,
        dtype: decomposed.plan.targets.first?.dtype.rawValue.lowercased() ?? "")
    }
    return (
      .components(found), UntilReport(measure: until.measure.rawValue, limit: until.limit, text: until.text, tries)
    )
  }

  private func value(components: Int) throws -> UntilReport.Try {
    let attempt = try TemporaryAdapter(isFolder: decomposed.plan.writesFolder)
    defer { attempt.remove() }
    let allocation = try decomposed.allocation(rule: .components(components))
    let written = try decomposed.write(allocation, to: attempt.path, overwriting: false, threads: common.threads)
    let value = try gauge.value(of: AuditSide([.init(path: attempt.path)], base: base))
    return UntilReport.Try(
      components: components, bytes: written.bytes, relativeError: written.relativeError, value: value,
      passes: until.isKept(by: value))
  }
}

/// An adapter that is looked at once, and is gone even when the process is told to stop.
private final class TemporaryAdapter {
  let path: String
  private let folder: String
  private let registrations: [Interruption.Token]

  /// - Throws: `FileError.notWritable`.
  init(isFolder: Bool) throws {
    var template = Array("\(FileManager.default.temporaryDirectory.path)/lathe-XXXXXX".utf8CString)
    // A folder of its own: nobody else has names in it.
    let (folder, path, registrations) = Interruption.uninterrupted {
      guard mkdtemp(&template) != nil else { return ("", "", [Interruption.Token]()) }
      let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let path = isFolder ? "\(folder)/try" : "\(folder)/try.safetensors"
      let contents = isFolder ? ["adapter_config.json", "adapter_model.safetensors"].map { "\(path)/\($0)" } : []
      return (folder, path, ([folder, path] + contents).map { Interruption.register($0) })
    }
    guard !registrations.isEmpty else {
      throw FileError(.notWritable(reason: systemReason()), path: FileManager.default.temporaryDirectory.path)
    }
    (self.folder, self.path, self.registrations) = (folder, path, registrations)
  }

  func remove() {
    try? FileManager.default.removeItem(atPath: folder)
    for registration in registrations { Interruption.forget(registration) }
  }
}

/// No file of the adapter is good enough.
struct ResizeUntilError: Error, CustomStringConvertible {
  let path: String
  let limit: String
  let best: Double
  let dtype: String

  var description: String {
    "\(path): --until \(limit): expected the whole adapter to keep the limit, found \(best) with all its components in "
      + "\(dtype); hint: a looser limit, or --dtype f32"
  }
}
