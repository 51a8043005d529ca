import ArgumentParser
import Audit
import Checkpoints
import Kernels
import Prompts
import Rendering

/// What is to be seen in the pictures of a command that is not about pictures.
struct SceneOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Read prompts from a file: one a line, or YAML with negative, seed, size and strengths.", valueName: "file"))
  var prompts: String?

  @Option(help: ArgumentHelp("What is to be seen; may be given several times.", valueName: "text"))
  var prompt: [String] = []

  @Option(help: ArgumentHelp("What is not to be seen.", valueName: "text"))
  var negative: String?

  @Option(help: ArgumentHelp("Start the noise from this number.", valueName: "n"))
  var seed: UInt64?

  @Option(help: ArgumentHelp("How closely the prompt is followed (default: as render).", valueName: "x"))
  var cfg: Double?

  mutating func validate() throws {
    if let cfg, !(cfg >= 0 && cfg.isFinite) {
      throw ValidationError("--cfg: expected a number of at least 0, found \(cfg)")
    }
  }

  var hasPrompts: Bool { prompts != nil || !prompt.isEmpty }

  /// What is rendered.
  ///
  /// - Parameters:
  ///   - wanted: the size of pictures that the file says nothing about, and the option that says so.
  ///   - strengths: of entries that have none of their own; the file's, or `usual`, when `nil`.
  ///   - adapters: where they belong instead of in a prompt.
  /// - Throws: `ValidationError` for sizes that the model has not, and for prompts with tags of adapters; `PromptError` for tags
  ///   that are none.
  func scenes(
    _ model: PictureModel, size wanted: (size: PictureSize?, option: String), strengths: [Double]? = nil,
    otherwise usual: [Double] = [1], adapters: String = "adapters are given by themselves, the same for all pictures"
  ) throws -> [AuditScene] {
    let file = try prompts.map { try SceneFile(path: $0) }
    let usualSize = PictureSize(width: model.usualSize, height: model.usualSize)
    let entries = prompt.map { SceneFile.Entry(prompt: $0) } + (file?.entries ?? [])
    return try entries.map { entry in
      let excluded = entry.negative ?? file?.negative ?? negative
      for text in [entry.prompt, excluded ?? ""] {
        // What is compared is the same in all pictures.
        guard try PromptTags(of: text, style: .a1111).tags.isEmpty else {
          throw ValidationError(
            "prompt: expected no tags of adapters, found \"\(text)\"; hint: \(adapters)")
        }
      }
      // What the command line says holds for all that say nothing themselves.
      let size = file?.size(of: entry) ?? wanted.size ?? usualSize
      try size.check(for: model, option: wanted.option)
      return AuditScene(
        prompt: entry.prompt, negative: excluded,
        seed: entry.seed ?? seed ?? file?.seed ?? 0, size: MapSize(height: size.height, width: size.width),
        strengths: entry.strengths ?? strengths ?? file?.strengths ?? usual)
    }
  }
}

extension PictureSize {
  /// - Parameter option: what says so.
  /// - Throws: `ValidationError` for a size that the model's pictures have not, or that is too small to compare.
  func check(for model: PictureModel, option: String) throws {
    let step = model.latents.pixelStep
    guard width % step == 0, height % step == 0, max(width, height) <= 1 << 14 else {
      throw ValidationError("\(option): expected multiples of \(step) up to 16384, found \(text)")
    }
    guard min(width, height) >= 16 else {
      throw ValidationError("\(option): expected at least 16 pixels a side to compare, found \(text)")
    }
  }
}
