/// A type of PEFT's that is no change of weights, or of whose change the file holds too little.
struct RefusedAlgorithm: Sendable {
  let algorithm: Algorithm
  /// What PEFT calls it in `peft_type`.
  let type: String

  /// Source: PEFT 0.21 (`src/peft/tuners`).
  static let all: [RefusedAlgorithm] = [
    .init(algorithm: .fourierft, type: "FOURIERFT"), .init(algorithm: .waveft, type: "WAVEFT"),
    .init(algorithm: .unilora, type: "UNILORA"), .init(algorithm: .adamss, type: "ADAMSS"),
    .init(algorithm: .psoft, type: "PSOFT"), .init(algorithm: .osf, type: "OSF"),
    .init(algorithm: .frod, type: "FROD"), .init(algorithm: .deft, type: "DEFT"),
    .init(algorithm: .peanut, type: "PEANUT"), .init(algorithm: .lily, type: "LILY"),
    .init(algorithm: .shadow, type: "SHADOW"), .init(algorithm: .poly, type: "POLY"),
    .init(algorithm: .xlora, type: "XLORA"), .init(algorithm: .promptTuning, type: "PROMPT_TUNING"),
    .init(algorithm: .promptTuning, type: "MULTITASK_PROMPT_TUNING"), .init(algorithm: .promptTuning, type: "P_TUNING"),
    .init(algorithm: .promptTuning, type: "PREFIX_TUNING"), .init(algorithm: .promptTuning, type: "CPT"),
    .init(algorithm: .promptTuning, type: "CARTRIDGE"), .init(algorithm: .adaptionPrompt, type: "ADAPTION_PROMPT"),
    .init(algorithm: .tokenAdapter, type: "TRAINABLE_TOKENS"),
  ]

  static let byType = Dictionary(all.map { ($0.type, $0.algorithm) }, uniquingKeysWith: { first, _ in first })
}

extension Algorithm {
  /// Why no delta is computed, where there is a reason beside the algorithm's name.
  public var refusal: String? {
    switch self {
    case .fourierft, .waveft: "the places of its numbers come from a random generator, and are not in the file"
    case .unilora: "which number stands where comes from a random generator, and is not in the file"
    case .adamss: "which rows its parts change was found by clustering the base's weights, and is not in the file"
    case .psoft, .osf, .frod:
      "it changes a decomposition of the base's weights, which has no one form that files could rely on"
    case .deft: "it takes directions out of the base's weights in a way that this version does not compute"
    case .peanut: "it is a network of the weights, not a change of them"
    case .tokenAdapter: "it holds rows of the table of words, which this version does not put in place"
    case .lily, .poly, .xlora, .shadow: "what it adds depends on the model's inputs"
    case .promptTuning, .adaptionPrompt: "it is words before the prompt, not a change of weights"
    default: nil
    }
  }
}
