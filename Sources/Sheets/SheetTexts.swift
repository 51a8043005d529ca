import Adapters
import Factoring
import Files
import Images
public import Kernels
public import Rendering
import Sampling

/// What the pictures' text chunks and the sheet's caption say of how they were made.
public struct SheetTexts: Sendable {
  /// Of all pictures; prompt and seed are each one's own.
  public let request: RenderRequest
  /// Of the denoiser's products.
  public let precision: Precision
  private let scheduler: SchedulerSettings
  /// The base's path, and that of another autoencoder.
  private let base: String
  private let vae: String?
  /// Of the base's file and of each adapter, where they are asked for.
  private let baseHash: String?
  private let adapterHashes: [String]

  /// - Parameters:
  ///   - vae: the path of another autoencoder.
  ///   - hashing: whether the files are read whole for their hashes.
  /// - Throws: `FileError` for files that cannot be read whole.
  public init(
    _ request: RenderRequest, model: PictureModel, adapters: SheetAdapters, vae: String? = nil, precision: Precision,
    hashing: Bool = false
  ) throws {
    self.request = request
    self.vae = vae
    self.precision = precision
    scheduler = model.scheduler
    base = model.path
    adapterHashes = hashing ? try adapters.fits.map { try AdapterHashes(of: $0.adapter).autoV3 ?? "" } : []
    // The hash of a model is that of its file; a folder has none.
    baseHash =
      hashing && !adapters.base.isFolder
      ? String(ContentHash.sha256(streaming: try MappedFile(path: model.path).bytes).prefix(10)) : nil
  }

  /// Of one picture; less than asked for where it starts from another.
  ///
  /// - Throws: `SamplingError` for numbers that do not go together.
  public var stepsTaken: Int {
    get throws {
      let sampler = try Sampler(request.sampler, settings: scheduler, steps: request.steps, eta: request.eta)
      return try sampler.timesteps.count - (request.start.map { try sampler.firstIndex(strength: $0.strength) } ?? 0)
    }
  }

  /// Of one picture, in the form of A1111's `parameters`: its prompt as it was written, seed, adapters, settings.
  public func text(of picture: SheetPlan.Picture) -> String {
    GenerationParameters(
      prompt: picture.prompt.original, negativePrompt: request.negativePrompt ?? "",
      settings: settings(seed: "\(picture.seed)", picture.uses)
    ).text
  }

  /// The sheet's text has what is common to all pictures, and the first one's prompt.
  public func text(ofSheet plan: SheetPlan) -> String {
    let prompts = plan.pictures.map(\.prompt.original).unique, seeds = plan.pictures.map { "\($0.seed)" }.unique
    let sets = plan.pictures.map { $0.uses.map(\.label).joined(separator: " + ") }.unique
    var settings = settings(seed: seeds.joined(separator: " "), [])
    settings.append(.init("Sheet", sets.map { $0.isEmpty ? "base" : $0 }.joined(separator: "; ")))
    return GenerationParameters(
      prompt: prompts.joined(separator: "\n"), negativePrompt: request.negativePrompt ?? "", settings: settings
    ).text
  }

  private func settings(seed: String, _ uses: [AdapterUse]) -> [GenerationParameters.Setting] {
    var settings: [GenerationParameters.Setting] = [
      .init("Steps", request.steps), .init("Sampler", request.sampler.usualName),
      .init("CFG scale", Double(request.guidance.scale).shortText), .init("Seed", seed),
      .init("Size", "\(request.size.width)x\(request.size.height)"),
    ]
    if let baseHash { settings.append(.init("Model hash", baseHash)) }
    settings.append(.init("Model", base.fileStem))
    if let vae { settings.append(.init("VAE", vae.fileStem)) }
    if let start = request.start { settings.append(.init("Denoising strength", start.strength.shortText)) }
    if request.textLayersSkipped > 0 { settings.append(.init("Clip skip", request.textLayersSkipped + 1)) }
    if request.guidance.rescale > 0 {
      settings.append(.init("CFG rescale", Double(request.guidance.rescale).shortText))
    }
    if let eta = request.eta { settings.append(.init("Eta", eta.shortText)) }
    settings.append(.init("RNG", request.generator == .torch ? "CPU" : "NV"))
    if request.style != .a1111 { settings.append(.init("Prompt style", request.style.rawValue)) }
    settings.append(.init("Precision", precision.rawValue))
    if !uses.isEmpty {
      settings.append(.init("Adapters", uses.map(\.label).joined(separator: ", ")))
      let hashes = uses.filter { adapterHashes.indices.contains($0.file) && !adapterHashes[$0.file].isEmpty }.map {
        "\($0.input.path.fileStem): \(adapterHashes[$0.file])"
      }
      if !hashes.isEmpty { settings.append(.init("Lora hashes", hashes.unique.joined(separator: ", "))) }
    }
    settings.append(.init("Version", "Lathe \(ToolVersion.current)"))
    return settings
  }

  /// What stands below the sheet.
  public func caption(of plan: SheetPlan) -> String {
    let prompts = plan.pictures.map(\.prompt.text).unique, seeds = plan.pictures.map { "\($0.seed)" }.unique
    var parts = [
      base.fileStem, request.sampler.usualName, "\(request.steps) step\(request.steps == 1 ? "" : "s")",
      "cfg \(Double(request.guidance.scale).shortText)", "\(request.size.width)x\(request.size.height)",
      seeds.count == 1 ? "seed \(seeds[0])" : "seeds \(seeds[0]) to \(seeds[seeds.count - 1])", precision.rawValue,
    ]
    if let start = request.start { parts.append("denoise \(start.strength.shortText)") }
    // Where no column says which adapters there are.
    if plan.columnLabels.isEmpty, let uses = plan.pictures.first?.uses, !uses.isEmpty {
      parts.append(uses.map(\.label).joined(separator: " + "))
    }
    if let negative = request.negativePrompt, !negative.isEmpty { parts.append("negative: \(negative)") }
    return (prompts.count == 1 ? prompts[0] + "\n" : "") + parts.joined(separator: ", ")
  }
}

extension SamplerKind {
  /// As other image tools call it.
  var usualName: String {
    switch self {
    case .ddim: "DDIM"
    case .euler: "Euler"
    case .eulerAncestral: "Euler a"
    case .dpm2M: "DPM++ 2M"
    case .dpm2MKarras: "DPM++ 2M Karras"
    case .dpm2MSDE: "DPM++ 2M SDE"
    case .uniPC: "UniPC"
    case .lcm: "LCM"
    case .tcd: "TCD"
    }
  }
}

extension [String] {
  /// Each text once, in order.
  fileprivate var unique: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
