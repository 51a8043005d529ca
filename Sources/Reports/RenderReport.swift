public import JSON
import Models
import Tensors

/// Pictures that were rendered, or would be.
public struct RenderReport: JSONReport {
  public static let schema = "lathe.render/1"

  /// What all pictures have in common.
  public struct Settings: Encodable, Sendable {
    /// Path of the checkpoint, as the user wrote it.
    public var base: String
    /// The kind of model, by its name for people: `SDXL`.
    public var family: String
    /// The negative prompt of all pictures; `null` for none.
    @Explicit public var negative: String?
    /// Whose rules prompts are read by: `a1111`, `comfy` or `plain`.
    public var promptStyle = ""
    /// Which layer of the text encoder is taken, counted from the last, which is 1.
    public var clipSkip = 1
    /// As asked for; pictures that start from another take fewer.
    public var steps = 0
    /// By its name on the command line: `dpm++2m`.
    public var sampler = ""
    /// The scale of classifier-free guidance; up to 1 the negative prompt has no part in it.
    public var cfg = 0.0
    /// How far the guided prediction's deviation is brought back to that of the one with the prompt, from 0 to 1.
    public var cfgRescale = 0.0
    /// How much noise the sampler adds at each step; `null` for the sampler's own.
    @Explicit public var eta: Double?
    /// Width and height in pixels: `512x768`.
    public var size = ""
    /// Whose random numbers the noise is: `torch` (on a CPU) or `philox` (on a GPU).
    public var rng = ""
    /// Of the denoiser's products.
    public var dtype = ""
    /// Path of another autoencoder; `null` for the base's own.
    @Explicit public var vae: String?
    /// Path of the picture that all start from, `init` in JSON; `null` where they start from noise.
    @Explicit public var start: String?
    /// The share of that picture that is replaced, from 0 to 1; `null` without one.
    @Explicit public var denoise: Double?

    enum CodingKeys: String, CodingKey {
      case base, family, negative, promptStyle, clipSkip, steps, sampler, cfg, cfgRescale, eta, size, rng, dtype, vae
      case start = "init"
      case denoise
    }

    /// The rest stays empty until it is set.
    public init(base: String, family: String) {
      (self.base, self.family) = (base, family)
    }
  }

  /// An adapter's file, with how much of it has its place in the base.
  public struct Adapter: Encodable, Sendable {
    var file: String
    /// On the command line; `null` for one that only tags name.
    @Explicit var strength: Double?
    @Explicit var textEncoderStrength: Double?
    var targets: Int
    var fitting: Int

    /// - Parameters:
    ///   - strength: the sum, where the file is given more than once.
    ///   - fitting: how many of `targets` have their place in the base.
    public init(file: String, strength: Double?, textEncoderStrength: Double?, targets: Int, fitting: Int) {
      (self.file, self.targets, self.fitting) = (file, targets, fitting)
      (_strength, _textEncoderStrength) = (
        Explicit(wrappedValue: strength), Explicit(wrappedValue: textEncoderStrength)
      )
    }
  }

  /// One picture, with what it differs in from the others.
  public struct Picture: Encodable, Sendable {
    /// `null` where only the sheet is written.
    @Explicit var path: String?
    var prompt: String
    var seed: UInt64
    /// Of each of the report's adapters.
    var strengths: [Double]
    var textEncoderStrengths: [Double]

    /// - Parameters:
    ///   - prompt: as it was written, with its tags.
    ///   - strengths: one for each adapter of the report, 0 where the picture does without.
    public init(path: String?, prompt: String, seed: UInt64, strengths: [Double], textEncoderStrengths: [Double]) {
      _path = Explicit(wrappedValue: path)
      (self.prompt, self.seed) = (prompt, seed)
      (self.strengths, self.textEncoderStrengths) = (strengths, textEncoderStrengths)
    }
  }

  /// What was measured while the pictures were made.
  public struct Cost: Sendable {
    /// The mean over all pictures, without each run's first step, which also prepares the kernels.
    public var secondsPerStep: Double
    /// From the first weight that is read to the last file that is written.
    public var seconds: Double
    /// Bytes of the engine's pool at most.
    public var peakMemory: Int

    public init(secondsPerStep: Double, seconds: Double, peakMemory: Int) {
      (self.secondsPerStep, self.seconds, self.peakMemory) = (secondsPerStep, seconds, peakMemory)
    }
  }

  let settings: Settings
  let adapters: [Adapter]
  let images: [Picture]
  @Explicit var sheet: String?
  let skipped: [String]
  let dryRun: Bool
  /// After the first, which also prepares the kernels; `null` in a dry run, as is all that is measured.
  @Explicit var secondsPerStep: Double?
  @Explicit var seconds: Double?
  @Explicit var peakMemory: Int?
  /// What was told before the work.
  let estimatedMemory: Int
  /// Sentences about files, the model and cut prompts, and about memory that this machine does not have.
  public let warnings: [String]

  private enum CodingKeys: String, CodingKey {
    case adapters, images, sheet, skipped, dryRun, secondsPerStep, seconds, peakMemory, estimatedMemory, warnings
  }

  /// - Parameters:
  ///   - sheet: path of the sheet; `nil` for a single picture.
  ///   - skipped: targets and tensors that were left out because the user allowed it, each with the reason.
  ///   - cost: `nil` in a dry run.
  ///   - estimatedMemory: bytes.
  public init(
    _ settings: Settings, adapters: [Adapter], images: [Picture], sheet: String?, skipped: [String], cost: Cost?,
    estimatedMemory: Int, warnings: [String]
  ) {
    self.settings = settings
    self.adapters = adapters
    self.images = images
    self.sheet = sheet
    self.skipped = skipped
    self.estimatedMemory = estimatedMemory
    self.warnings = warnings
    dryRun = cost == nil
    secondsPerStep = cost?.secondsPerStep
    seconds = cost?.seconds
    peakMemory = cost?.peakMemory
  }

  /// Writes the settings among the other fields, not as an object of their own.
  public func encode(to encoder: any Encoder) throws {
    try settings.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(adapters, forKey: .adapters)
    try container.encode(images, forKey: .images)
    try container.encode(_sheet, forKey: .sheet)
    try container.encode(skipped, forKey: .skipped)
    try container.encode(dryRun, forKey: .dryRun)
    try container.encode(_secondsPerStep, forKey: .secondsPerStep)
    try container.encode(_seconds, forKey: .seconds)
    try container.encode(_peakMemory, forKey: .peakMemory)
    try container.encode(estimatedMemory, forKey: .estimatedMemory)
    try container.encode(warnings, forKey: .warnings)
  }

  // MARK: Text

  /// What all pictures have in common, and a line for each.
  ///
  /// - Parameter width: of the terminal, in characters.
  public func text(width: Int) -> String {
    let title = sheet ?? images.first?.path ?? ""
    var lines = ["\(title)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    row("base", "\(settings.base), \(settings.family)")
    for adapter in adapters {
      row("adapter", "\(adapter.file) \(Self.strength(adapter)), \(adapter.fitting) of \(adapter.targets) targets")
    }
    row(
      "sampler",
      "\(settings.sampler), \(settings.steps) step\(settings.steps == 1 ? "" : "s"), cfg \(Numbers.short(settings.cfg))"
        + (settings.denoise.map { ", \(Numbers.percent($0)) of \(settings.start ?? "") replaced" } ?? ""))
    row("pictures", "\(images.count) of \(settings.size), \(settings.dtype), noise like \(settings.rng)'s")
    if let secondsPerStep, let seconds {
      row("time", "\(Self.time(secondsPerStep)) a step, \(Self.time(seconds)) in all")
    }
    row("memory", peakMemory.map { "\(ByteCount($0))" } ?? "about \(ByteCount(estimatedMemory))")
    if !skipped.isEmpty {
      lines.append("  not applied:")
      lines += skipped.map { "    \($0)" }
    }
    return (lines + table.lines(width: width)).joined(separator: "\n") + "\n"
  }

  private static func strength(_ adapter: Adapter) -> String {
    guard let strength = adapter.strength else { return "from tags" }
    guard let text = adapter.textEncoderStrength, text != strength else { return "at \(Numbers.short(strength))" }
    return "at \(Numbers.short(strength)), text encoder \(Numbers.short(text))"
  }

  private static func time(_ seconds: Double) -> String {
    seconds < 120 ? "\(Numbers.short(seconds)) s" : "\(Numbers.fixed(seconds / 60, 1)) min"
  }

  private var table: TextTable {
    var table = TextTable(.name("picture"), .number("seed"), .word("strengths"), .name("prompt"))
    for image in images {
      table.add(
        image.path ?? "on the sheet", "\(image.seed)",
        image.strengths.isEmpty ? "–" : image.strengths.map { Numbers.short($0) }.joined(separator: " "),
        image.prompt.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    return table
  }
}
