import Checkpoints
import JSON
import Models
import Networks
import Prompts
import Sampling

/// What is to be known of a Stable Diffusion model, 1, 2 or XL, before its weights are read: the measures of its networks, how
/// texts reach it, and how its noise is meant.
struct StableDiffusion: Sendable {
  /// How a text becomes features for the UNet.
  enum TextUse: Sendable, Equatable {
    /// One encoder, after its last norm. Of OpenCLIP's encoder with all 24 layers the last is left out.
    case one(skippedLayers: Int)
    /// Two encoders side by side, both one layer before the end and without norm; the second also summarises the text.
    case two
  }

  enum Padding { case end, zero }

  let unet: UNetConfiguration
  /// The side of the latents that the UNet was trained with, where its configuration says it.
  let trainedSide: Int?
  let textEncoders: [CLIPConfiguration]
  let textUse: TextUse
  /// For each encoder, what fills up short texts.
  private let padding: [Padding]
  let autoencoder: AutoencoderConfiguration?
  let scheduler: SchedulerSettings
  /// Whether a missing negative prompt means features of zeros instead of those of an empty text.
  let zeroesMissingNegative: Bool
  let tokenizer: CLIPTokenizer
  let assumptions: [PictureModel.Assumption]

  static let encoders: [Component] = [.textEncoder1, .textEncoder2]

  /// Reads configurations and, in single files, names and shapes; no weights.
  ///
  /// - Throws: `NetworkError` and `RenderingError` for models that cannot be rendered, with the reason; `CheckpointError`.
  init(_ checkpoint: Checkpoint) throws {
    unet = try UNetConfiguration(of: checkpoint)
    trainedSide = try UNetConfiguration.trainedSide(in: checkpoint)
    guard unet.inputChannels == 4 else {
      throw RenderingError(
        .unsupported(
          what: "the UNet's input", expected: "4 channels", found: "\(unet.inputChannels)",
          hint: unet.inputChannels == 9 ? "this is an inpainting model" : "this model is conditioned on a picture"),
        file: checkpoint.path)
    }
    let source = try UNetConfiguration.source(in: checkpoint)
    try unet.check(file: source)
    let isXL = unet.addedChannels != nil
    textEncoders = try Self.encoders.prefix(isXL ? 2 : 1).map { try CLIPConfiguration(of: checkpoint, $0) }
    let width = textEncoders.reduce(0) { $0 + $1.channels }
    guard width == unet.contextChannels else {
      throw RenderingError(
        .unsupported(
          what: "text features", expected: "\(unet.contextChannels) for this UNet", found: "\(width)", hint: nil),
        file: checkpoint.path)
    }
    let isOpenCLIP = !isXL && !textEncoders[0].isQuick
    textUse = isXL ? .two : .one(skippedLayers: isOpenCLIP && textEncoders[0].layers == 24 ? 1 : 0)
    padding = try textEncoders.indices.map { index in
      let name = index == 0 ? "tokenizer" : "tokenizer_\(index + 1)"
      switch try checkpoint.configuration("\(name)/tokenizer_config.json")?["pad_token"]?.string {
      case "!": return .zero
      case .some: return .end
      case nil: return isOpenCLIP || index == 1 ? .zero : .end
      }
    }
    autoencoder = checkpoint.weights(of: .vae).isEmpty ? nil : try AutoencoderConfiguration(of: checkpoint)
    zeroesMissingNegative =
      try checkpoint.configuration("model_index.json")?["force_zeros_for_empty_prompt"]?.bool ?? isXL
    tokenizer = try checkpoint.tokenizer() ?? .standard
    for (index, encoder) in textEncoders.enumerated() {
      let name = "\(checkpoint.path)/text_encoder\(index == 0 ? "" : "_2")/config.json"
      try encoder.check(tokens: tokenizer.vocabularySize, file: checkpoint.isFolder ? name : checkpoint.path)
    }
    if let added = unet.addedChannels, let size = unet.sizeChannels, let last = textEncoders.last {
      let expected = (last.projection ?? last.channels) + 6 * size
      guard added == expected else {
        throw NetworkError(
          .configuration(
            field: "projection_class_embeddings_input_dim",
            expected: "\(expected) for this text encoder and addition_time_embed_dim", found: "\(added)"), file: source)
      }
    }
    (scheduler, assumptions) = try Self.scheduler(checkpoint, isXL: isXL, isOpenCLIP: isOpenCLIP)
  }

  private static func scheduler(
    _ checkpoint: Checkpoint, isXL: Bool, isOpenCLIP: Bool
  ) throws -> (SchedulerSettings, [PictureModel.Assumption]) {
    if let settings = try checkpoint.schedulerSettings() { return (settings, []) }
    if isXL {
      var settings = SchedulerSettings.stableDiffusionXL
      // Marks that trainers leave in files of models that predict the velocity.
      let marks = Set(checkpoint.weights.map(\.name))
      if marks.contains("v_pred") { settings.prediction = .velocity }
      if marks.contains("ztsnr") {
        settings.rescalesToZeroTerminal = true
        settings.spacing = .trailing
      }
      return (settings, [])
    }
    guard isOpenCLIP else { return (.stableDiffusion1, []) }
    return (.stableDiffusion2V, [.velocity])
  }

  /// The token that fills up texts for an encoder.
  func paddingToken(_ encoder: Int) -> Int32 { padding[encoder] == .zero ? 0 : tokenizer.end }
}
