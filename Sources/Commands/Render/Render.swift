import Adapters
import ArgumentParser
import Checkpoints
import Factoring
import Files
import Foundation
import Images
import Kernels
import Models
import Prompts
import Rendering
import Reports
import Sampling
import Sheets
import Tensors

struct Render: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Renders prompts with Stable Diffusion 1, 2, XL or Z-Image on the processor, with any adapters.",
    discussion: """
      Adapters are added to the weights before the first step, so that any number of them costs nothing per step. The
      same inputs give the same bytes. Tags in prompts work as elsewhere: <lora:style:0.8> takes style.safetensors from
      the current folder, that of an adapter, or --adapter-folder, for its prompt only.

      Several pictures become a labelled contact sheet OUT.png, with the single ones beside it as OUT-01.png and so on,
      row by row. Each PNG says how it was made, in the form that A1111 and its kin read.

      Examples:
        lathe render sd15.safetensors style.safetensors@0.8 --prompt "a lighthouse, oil painting" -o light.png
        lathe render sd15.safetensors style.safetensors --sweep 0,0.3,0.5,0.8,1 --size 384x384 --prompt "a cat" -o s.png
        lathe render sdxl.safetensors a.safetensors@0.7 b.safetensors --grid --prompts prompts.txt --batch 2 -o grid.png
        lathe render sdxl-folder/ --init sketch.png --denoise 0.6 --prompt "a castle <lora:ink:0.5>" -o castle.png
      """)

  @Argument(help: "A base checkpoint: file, index of shards, or folder of diffusers.")
  var base: String

  @Argument(
    help: ArgumentHelp(
      "Adapters with their strengths: FILE@0.8, or FILE@0.8,0.5 for UNet and text encoder.", valueName: "adapter"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument] = []

  @OptionGroup var prompts: PromptOptions

  @Option(name: .shortAndLong, help: ArgumentHelp("Write the picture, or the contact sheet, here.", valueName: "png"))
  var output: String?

  @Flag(help: "Replace files that exist.")
  var force = false

  @OptionGroup var sheets: SheetOptions
  @OptionGroup var sampling: SamplingOptions

  @Option(
    help: ArgumentHelp(
      "Strengths by block, FILE=NUMBERS: 12, 17, 20 or 26 numbers with commas, or LABEL:NUMBER pairs.",
      valueName: "file=numbers"),
    transform: BlockWeightArgument.init)
  var blockWeights: [BlockWeightArgument] = []

  @Flag(help: "List the blocks of the adapters, as block weights can name them, and do nothing else.")
  var listBlocks = false

  @Flag(help: "Check everything and tell what would be rendered and how much memory it takes, but write nothing.")
  var dryRun = false

  @Flag(help: "Note the hashes of base and adapters in the pictures, for which their files are read whole.")
  var hashes = false

  @Flag(help: "Leave out what the base has no place for; exit code 2.")
  var allowUnmatched = false

  @Flag(help: "Leave out tensors that no known trainer writes; exit code 2.")
  var allowUnknown = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard let output else {
      guard dryRun || listBlocks else {
        throw ValidationError("expected -o <png>, found no output; hint: --dry-run writes nothing")
      }
      return
    }
    guard output.lowercased().hasSuffix(".png"), output.utf8.count > 4, !output.hasSuffix("/.png") else {
      throw ValidationError("-o: expected a name that ends in .png, found \(output)")
    }
    for weights in blockWeights where !adapters.contains(where: { $0.input.path == weights.file }) {
      throw ValidationError("--block-weights: expected one of the adapters, found \(weights.file)")
    }
  }

  var usesEngine: Bool { true }

  func execute() throws -> Outcome {
    if listBlocks {
      let report = BlocksReport(try adapters.map { try Adapter(path: $0.input.path) })
      try common.show(report, text: report.text(width: Console.width))
      return .done
    }
    let style = prompts.promptStyle, originals = try prompts.all
    let tags = try originals.map { try PromptTags(of: $0, style: style) }
    try checkTexts(tags.map(\.text))
    let adapters = try matchedAdapters(tags.map(\.tags))
    let (model, request) = try modelAndRequest(adapters.base)
    let other = try sampling.vae.map { try AutoencoderSource(path: $0) }
    try checkAutoencoder(model, other)
    let plan = try plan(
      prompts: zip(originals, zip(tags, adapters.tagged)).map {
        SheetPlan.Prompt(original: $0, text: $1.0.text, tags: $1.1)
      }, given: adapters.given)
    let texts = try SheetTexts(
      request, model: model, adapters: adapters, vae: sampling.vae, precision: sampling.precision,
      hashing: hashes && !dryRun)
    _ = try texts.stepsTaken
    try checkSheet(plan, request.size, caption: texts.caption(of: plan))
    let previewPath = sheets.preview.flatMap { _ in output.map { "\($0.dropLast(4)).preview.png" } }
    if !dryRun { try checkOutputs(plan, preview: previewPath, request.size) }
    let preview = try sheets.preview.map {
      try LatentPreview(path: $0, expecting: request.size, threads: common.threads)
    }

    let estimate = MemoryEstimate(
      model, adapters.base, encoder: request.start.map { _ in other?.checkpoint ?? adapters.base },
      decoder: other.map(\.checkpoint) ?? adapters.base, size: request.size,
      isGuided: request.guidance.needsUnconditional, precision: sampling.precision, threads: common.threads)
    var warnings = adapters.warnings + modelWarnings(model) + truncations(model, tags.map(\.text))
    let memory = Int(ProcessInfo.processInfo.physicalMemory)
    if estimate.peak > memory {
      warnings.append(
        "memory: about \(ByteCount(estimate.peak)) are needed and this machine has \(ByteCount(memory)); hint: "
          + (sampling.precision == .f32 && NativeBackend.precisions.contains(.bf16)
            ? "--precision bf16 or a smaller --size takes less" : "a smaller --size takes less"))
    }
    common.warn(warnings)
    var cost: RenderReport.Cost?
    if !dryRun {
      try estimate.requireAddresses(threads: common.threads, file: base)
      common.announce(
        "\(plan.pictures.count == 1 ? "a picture" : "\(plan.pictures.count) pictures") of "
          + "\(request.size.width)x\(request.size.height) in \(request.steps) step\(request.steps == 1 ? "" : "s"), \(sampling.precision.rawValue), with "
          + "about \(ByteCount(estimate.peak)) of memory")
      cost = try run(
        SheetRenderer(
          plan, adapters: adapters, model: model, autoencoder: other ?? .own, texts: texts, threads: common.threads,
          overwriting: force,
          preview: preview.map {
            SheetRenderer.Preview(decoder: $0, path: previewPath!, interval: sheets.previewEvery ?? 4)
          }), denoiser: model.denoiserName)
    }
    let report = RenderReport(
      settings(model, request, adapters.base), adapters: rows(adapters),
      images: plan.pictures.map { picture(of: $0, adapters.files.count) }, sheet: plan.sheet,
      skipped: adapters.skipped, cost: cost, estimatedMemory: estimate.peak, warnings: warnings)
    try common.show(report, text: report.text(width: Console.width))
    return adapters.skipped.isEmpty ? .done : .skipped
  }

  // MARK: What is asked for

  private func matchedAdapters(_ tags: [[PromptTags.Tag]]) throws -> SheetAdapters {
    var inputs = adapters.map(\.input)
    for weights in blockWeights {
      for index in inputs.indices where inputs[index].path == weights.file { inputs[index].blocks = weights.blocks }
    }
    guard !(inputs.isEmpty && tags.allSatisfy(\.isEmpty)) || !(sheets.grid || sheets.sweep != nil) else {
      throw ValidationError("\(sheets.grid ? "--grid" : "--sweep"): expected an adapter, found none")
    }
    do {
      return try SheetAdapters(
        base: base, inputs: inputs, tags: tags, folders: prompts.adapterFolder, allowsUnmatched: allowUnmatched,
        allowsUnknown: allowUnknown)
    } catch let error as SheetError {
      guard case .noAdapter(let tag, let folders) = error.kind else { throw error }
      throw RenderError(.noAdapter(tag: tag, folders: folders), path: tag)
    }
  }

  private func plan(prompts: [SheetPlan.Prompt], given: [AdapterUse]) throws -> SheetPlan {
    do {
      return try SheetPlan(
        prompts: prompts, seeds: sampling.seeds, given: given, columns: sheets.columns, sheetOnly: sheets.sheetOnly,
        output: output ?? "(no output).png")
    } catch { throw ValidationError("\(error); hint: several calls") }
  }

  private func modelAndRequest(_ checkpoint: Checkpoint) throws -> (PictureModel, RenderRequest) {
    var model: PictureModel
    do {
      model = try PictureModel(checkpoint)
    } catch let error as RenderingError {
      // The commonest slip: the base forgotten, an adapter in its place.
      if case .missing = error.kind, let adapter = try? Adapter(path: base), !adapter.targets.isEmpty {
        throw RenderError(.adapterAsBase, path: base)
      }
      throw error
    }
    if model.scheduler.flow != nil {
      for (isGiven, option) in [(sampling.prediction != nil, "--prediction"), (sampling.zeroSnr, "--zero-snr")]
      where isGiven {
        throw ValidationError("\(option): expected a model with a table of noise, found a rectified flow")
      }
    }
    if let prediction = sampling.prediction { model.scheduler.prediction = prediction.prediction }
    if sampling.zeroSnr {
      guard model.scheduler.prediction != .epsilon else {
        throw ValidationError("--zero-snr: expected a model that predicts v, found epsilon; hint: --prediction v")
      }
      model.scheduler.rescalesToZeroTerminal = true
      model.scheduler.spacing = .trailing
    }
    var request = RenderRequest(prompt: "", size: MapSize(height: model.usualSize, width: model.usualSize))
    request.negativePrompt = prompts.negative
    request.style = prompts.promptStyle
    request.textLayersSkipped = prompts.clipSkip - 1
    request.generator = sampling.rng
    request.sampler = sampling.sampler
    request.steps = sampling.stepCount
    request.eta = sampling.eta
    request.guidance = Guidance(scale: Float(sampling.scale(for: model)), rescale: Float(sampling.cfgRescale))
    guard prompts.clipSkip <= model.textLayers else {
      throw ValidationError(
        "--clip-skip: expected at most \(model.textLayers) for this model, found \(prompts.clipSkip)")
    }
    try placeStart(&request, step: model.latents.pixelStep)
    return (model, request)
  }

  /// Size, and the picture to start from.
  private func placeStart(_ request: inout RenderRequest, step: Int) throws {
    let image = try sampling.start.map { path in
      InputFiles.note(path)
      return try PNGPicture(path: path).image
    }
    func rounded(_ extent: Int) -> Int { max(1, (extent + step / 2) / step) * step }
    let size =
      sampling.size ?? image.map { PictureSize(width: rounded($0.width), height: rounded($0.height)) }
      ?? PictureSize(width: request.size.width, height: request.size.height)
    guard size.width % step == 0, size.height % step == 0 else {
      throw ValidationError("--size: expected multiples of \(step), found \(size.text)")
    }
    // Together with the factors, so that neither product can overflow.
    guard size.width <= 1 << 14, size.height <= 1 << 14 else {
      throw ValidationError("--size: expected at most 16384 pixels a side, found \(size.text)")
    }
    request.size = MapSize(height: size.height, width: size.width)
    request.start = image.map {
      RenderRequest.Start(image: $0.filling(width: size.width, height: size.height), strength: sampling.denoising)
    }
  }

  // MARK: Rendering

  private func run(_ renderer: SheetRenderer, denoiser: String) throws -> RenderReport.Cost {
    let progress = RenderProgress(total: try renderer.stepCount, denoiser: denoiser, isQuiet: common.quiet)
    defer { progress.finish() }
    let result = try renderer.run { progress.update($0) }
    return RenderReport.Cost(
      secondsPerStep: result.secondsPerStep, seconds: result.seconds, peakMemory: result.peakMemory)
  }
}
