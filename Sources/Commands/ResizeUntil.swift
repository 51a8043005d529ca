public import ArgumentParser
public import Audit
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
        + "ms-ssim>=0.99, ssimulacra2>=80, psnr>=35 or latent<=0.1, as lathe audit measures them; with --base. Of files for "
        + "pictures latent is the one to choose: one prediction (probe, effect) ranks cuts partly the other way round than "
        + "pictures do.", valueName: "limit"))
  var until: AuditLimit?

  @Option(
    help: ArgumentHelp(
      "The base checkpoint: to weigh errors by, to look at the result with, and for deltas that depend on it.",
      valueName: "path"))
  var base: String?

  @OptionGroup(title: "Pictures for --until; prompts, seed and cfg for --weigh pictures too") var scenes:
    AuditSceneOptions

  @Option(
    help: ArgumentHelp(
      "Width and height of pictures, multiples of 8 (default: the model's; at most 256 to weigh by).", valueName: "WxH")
  )
  var pictureSize: PictureSize?

  mutating func validate() throws {
    guard let until else { return }
    guard base != nil else { throw ValidationError("--until: expected --base <checkpoint> beside it, found none") }
    guard scenes.hasPrompts || !until.measure.isOfPictures else {
      throw ValidationError("--until \(until.text): expected --prompts or --prompt beside it, found neither")
    }
  }
}

extension AuditLimit: ExpressibleByArgument {
  /// Reads `ssim>=0.98`; `nil` for a measure that no search asks, the wrong sign or a limit that is not finite.
  public init?(argument: String) { self.init(argument) }
}

/// The search for the smallest file that is good enough, as the command line asks for it.
struct ResizeUntil {
  private let limit: AuditLimit
  private let resize: SmallestResize
  private let common: CommonOptions

  init(_ options: ResizeUntilOptions, _ decomposed: DecomposedPlan, common: CommonOptions) throws {
    (limit, self.common) = (options.until!, common)
    let base = try Checkpoint(path: options.base!)
    let model = try PictureModel(base)
    let original = try AuditSide([.init(path: decomposed.plan.adapters[0].path)], base: base)
    common.announce("asking \(base.path) about the original")
    let gauge = try AuditGauge(
      limit.measure, of: original,
      scenes: try options.scenes.scenes(model, size: (options.pictureSize, "--picture-size")),
      rendering: try options.scenes.rendering(
        model, of: base, decodes: limit.measure.needsDecoder, threads: common.threads))
    resize = SmallestResize(decomposed, limit: limit, base: base, gauge: gauge, threads: common.threads)
  }

  /// Looks for the smallest file, in the format that the plan has or in each that could be chosen.
  static func search(
    _ options: ResizeUntilOptions, _ decomposed: DecomposedPlan, tryingFormats: Bool, common: CommonOptions
  ) throws -> (plan: DecomposedPlan, rule: RankRule, report: UntilReport) {
    let search = try ResizeUntil(options, decomposed, common: common)
    let plans = tryingFormats ? decomposed.inEachFormat : [decomposed]
    var found: [(plan: DecomposedPlan, rule: RankRule, attempts: [SmallestResize.Attempt])] = [], fault: AuditError?
    for plan in plans {
      do {
        let (rule, attempts) = try search.resize.trying(plan).search {
          search.common.announce("  " + UntilReport.line($0, for: search.limit))
        }
        found.append((plan, rule, attempts))
      } catch let error as AuditError {
        // Digits alone may be too few where another format has enough.
        guard case .noneGoodEnough = error.kind else { throw error }
        fault = fault ?? error
      }
    }
    let best = found.min { $0.attempts.passing.bytes < $1.attempts.passing.bytes }
    guard let best else { throw fault! }
    return (best.plan, best.rule, UntilReport(search.limit, best.attempts))
  }
}
