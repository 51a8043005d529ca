public import JSON
import Models
import Tensors

/// Pictures that were rendered, or would be.
public struct RenderReport: JSONReport {
  public static let schema = "lathe.render/1"

  /// What all pictures have in common.
  public struct Settings: Encodable, Sendable {
    public var base: String
    public var family: String
    @Explicit public var negative: String?
    public var promptStyle = ""
    public var clipSkip = 1
    public var steps = 0
    public var sampler = ""
    public var cfg = 0.0
    public var cfgRescale = 0.0
    @Explicit public var eta: Double?
    public var size = ""
    public var rng = ""
    /// Of the UNet's products.
    public var dtype = ""
    @Explicit public var vae: String?
    @Explicit public var start: String?
    @Explicit public var denoise: Double?

    enum CodingKeys: String, CodingKey {
      case base, family, negative, promptStyle, clipSkip, steps, sampler, cfg, cfgRescale, eta, size, rng, dtype, vae
      case start = "init"
      case denoise
    }

    public init(base: String, family: String) {
      (self.base, self.family) = (base, family)
    }
  }

  public struct Adapter: Encodable, Sendable {
    var file: String
    /// On the command line; `null` for one that only tags name.
    @Explicit var strength: Double?
    @Explicit var textEncoderStrength: Double?
    var targets: Int
    var fitting: Int

    public init(file: String, strength: Double?, textEncoderStrength: Double?, targets: Int, fitting: Int) {
      (self.file, self.targets, self.fitting) = (file, targets, fitting)
      (_strength, _textEncoderStrength) = (
        Explicit(wrappedValue: strength), Explicit(wrappedValue: textEncoderStrength)
      )
    }
  }

  public struct Picture: Encodable, Sendable {
    /// `null` where only the sheet is written.
    @Explicit var path: String?
    var prompt: String
    var seed: UInt64
    /// Of each of the report's adapters.
    var strengths: [Double]
    var textEncoderStrengths: [Double]

    public init(path: String?, prompt: String, seed: UInt64, strengths: [Double], textEncoderStrengths: [Double]) {
      _path = Explicit(wrappedValue: path)
      (self.prompt, self.seed) = (prompt, seed)
      (self.strengths, self.textEncoderStrengths) = (strengths, textEncoderStrengths)
    }
  }

  /// What was measured while the pictures were made.
  public struct Cost: Sendable {
    public var secondsPerStep: Double
    public var seconds: Double
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
  public let warnings: [String]

  private enum CodingKeys: String, CodingKey {
    case adapters, images, sheet, skipped, dryRun, secondsPerStep, seconds, peakMemory, estimatedMemory, warnings
  }

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
