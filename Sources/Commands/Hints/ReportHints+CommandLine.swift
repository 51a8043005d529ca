import Baking
import Reports
import Tensors

extension ReportHints {
  /// In options.
  static let commandLine = ReportHints { occasion in
    switch occasion {
    case .onlyBlocks: "--targets shows each target"
    case .someTargets: "--targets shows all"
    case .someMetadata: "--json shows all"
    case .weightsNotRead: "--norms reads the weights too"
    case .needsBase: "--base"
    case .rankLimit: "--max-rank"
    case .capped: "a higher --max-rank"
    case .narrowFactors: "--dtype f32 keeps more"
    case .bake(let finding): finding.hint
    case .littleSurvives(let rounding, let hasLargerBlocks):
      (rounding == .nearest ? "--rounding shaped keeps it in this format, " : "")
        + "--dtype \(hasLargerBlocks ? "q8_0, f16" : "f16") or f32"
        + (rounding == .nearest ? " in a larger one" : " keeps more")
    case .clamped(.gguf): "--requantise makes new steps, --dtype bf16 needs none"
    case .clamped(.safetensors): "--dtype bf16"
    case .starved: "--fair shares the loss, a larger size or rank lessens it"
    case .note(.family): "--family or --base says it"
    case .note(.oneAlpha): "--normalise gives them one"
    case .note(.base(let reason)): "--base" + (reason.map { " \($0)" } ?? "")
    case .note(.diffusersNames): "--format diffusers"
    }
  }
}
