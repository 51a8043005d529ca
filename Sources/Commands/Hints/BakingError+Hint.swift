import Baking

extension BakingError: HintedError {
  var place: String { path }

  var hint: Hint? {
    switch kind {
    case .wrongFamily: .new("lathe check shows what fits")
    case .doesNotFit: .new("--allow-unmatched bakes the rest")
    case .notFinite(_, _, _, cause: .sum): .new("--dtype bf16 or f32")
    case .needsGGUFOutput, .formatOfGGUF, .noUndo, .requantisesGGUF: .about("--")
    case .quantisedRounding: .new("--dtype f16")
    case .codes: .new("--dtype bf16 widens the weights that change, and leaves the others as they are")
    default: nil
    }
  }
}

extension BakeFinding.Kind {
  /// What to try; `nil` where there is nothing.
  var hint: String? {
    switch self {
    case .widened: "--dtype f16 takes half the space, an output that ends in .gguf keeps the format"
    case .averages, .duplicate, .leaves: nil
    }
  }
}
