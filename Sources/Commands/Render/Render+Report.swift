import Checkpoints
import Models
import Rendering
import Reports
import Sheets

/// What the report says.
extension Render {
  /// A row for each adapter's file.
  func rows(_ adapters: SheetAdapters) -> [RenderReport.Adapter] {
    adapters.files.indices.map { file in
      let own = adapters.given.filter { $0.file == file }.map(\.input)
      return RenderReport.Adapter(
        file: adapters.files[file], strength: own.isEmpty ? nil : own.reduce(0) { $0 + $1.strength },
        textEncoderStrength: own.isEmpty ? nil : own.reduce(0) { $0 + $1.textEncoderStrength },
        targets: adapters.fits[file].entries.count, fitting: adapters.fits[file].fittingCount)
    }
  }

  func settings(_ model: PictureModel, _ request: RenderRequest, _ checkpoint: Checkpoint)
    -> RenderReport.Settings
  {
    var settings = RenderReport.Settings(base: base, family: checkpoint.family.name)
    settings.negative = request.negativePrompt
    settings.promptStyle = request.style.rawValue
    settings.clipSkip = prompts.clipSkip
    settings.steps = request.steps
    settings.sampler = request.sampler.rawValue
    settings.cfg = sampling.scale(for: model)
    settings.cfgRescale = sampling.cfgRescale
    settings.eta = request.eta
    settings.size = "\(request.size.width)x\(request.size.height)"
    settings.rng = request.generator.rawValue
    settings.dtype = sampling.precision.rawValue
    settings.vae = sampling.vae
    settings.start = sampling.start
    settings.denoise = request.start?.strength
    return settings
  }

  func picture(of picture: SheetPlan.Picture, _ files: Int) -> RenderReport.Picture {
    var strengths = [Double](repeating: 0, count: files), texts = strengths
    for use in picture.uses {
      strengths[use.file] += use.input.strength
      texts[use.file] += use.input.textEncoderStrength
    }
    return RenderReport.Picture(
      path: dryRun && output == nil ? nil : picture.path, prompt: picture.prompt.original, seed: picture.seed,
      strengths: strengths, textEncoderStrengths: texts)
  }
}
