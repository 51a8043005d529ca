public import Checkpoints
import Files
import FoundationEssentials
import JSON
import Models
public import Networks
public import Prompts
public import Sampling

/// What is to be known of a Stable Diffusion model before its weights are read: the measures of its networks, how texts
/// reach it, and how its noise is meant.
public struct PictureModel: Sendable {
  /// How a text becomes features for the UNet.
  public enum TextUse: Sendable, Equatable {
    /// One encoder, after its last norm. Of OpenCLIP's encoder with all 24 layers the last is left out.
    case one(skippedLayers: Int)
    /// Two encoders side by side, both one layer before the end and without norm; the second also summarises the text.
    case two
  }

  public let path: String
  public let unet: UNetConfiguration
  /// The side of the latents that the UNet was trained with, where its configuration says it.
  let trainedSide: Int?
  public let textEncoders: [CLIPConfiguration]
  public let textUse: TextUse
  /// For each encoder, what fills up short texts.
  let padding: [Padding]
  public let autoencoder: AutoencoderConfiguration?
  public var scheduler: SchedulerSettings
  /// Whether a missing negative prompt means features of zeros instead of those of an empty text.
  public var zeroesMissingNegative: Bool
  public let tokenizer: CLIPTokenizer
  /// What had to be assumed.
  public private(set) var warnings: [String] = []

  enum Padding { case end, zero }

  static let encoders: [Component] = [.textEncoder1, .textEncoder2]

  /// Reads configurations and, in single files, names and shapes; no weights.
  ///
  /// - Throws: `RenderingError` for models that cannot be rendered, with the reason; `CheckpointError`.
  public init(_ checkpoint: Checkpoint) throws {
    self = try RenderingError.ofNetworks { try PictureModel(reading: checkpoint) }
  }

  private init(reading checkpoint: Checkpoint) throws {
    try Self.refuseOthers(checkpoint)
    path = checkpoint.path
    let folder = checkpoint.isFolder ? checkpoint.folder : nil
    unet = try UNetConfiguration(of: checkpoint)
    trainedSide = try UNetConfiguration.trainedSide(in: checkpoint)
    guard unet.inputChannels == 4 else {
      throw RenderingError(
        .unsupported(
          what: "the UNet's input", expected: "4 channels", found: "\(unet.inputChannels)",
          hint: unet.inputChannels == 9 ? "this is an inpainting model" : "this model is conditioned on a picture"),
        file: checkpoint.path)
    }
    let file = try UNetConfiguration.source(in: checkpoint)
    try unet.check(file: file)
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
    tokenizer = try folder.flatMap { try Self.tokenizer(inFolder: $0) } ?? .standard
    for (index, encoder) in textEncoders.enumerated() {
      let name = "\(checkpoint.path)/text_encoder\(index == 0 ? "" : "_2")/config.json"
      try encoder.check(tokens: tokenizer.vocabularySize, file: folder == nil ? checkpoint.path : name)
    }
    if let added = unet.addedChannels, let size = unet.sizeChannels, let last = textEncoders.last {
      let expected = (last.projection ?? last.channels) + 6 * size
      guard added == expected else {
        throw NetworkError(
          .configuration(
            field: "projection_class_embeddings_input_dim",
            expected: "\(expected) for this text encoder and addition_time_embed_dim", found: "\(added)"), file: file)
      }
    }
    (scheduler, warnings) = try Self.scheduler(
      checkpoint, folder: folder, isXL: isXL, isOpenCLIP: isOpenCLIP)
  }

  private static func refuseOthers(_ checkpoint: Checkpoint) throws {
    let hint = "only Stable Diffusion 1, 2 and XL can be rendered"
    let family = checkpoint.family
    if family.isNoBaseModel {
      throw RenderingError(
        .unsupported(what: "model", expected: "a base model", found: family.withArticle, hint: hint),
        file: checkpoint.path)
    }
    guard family.hasUNet || family == .unknown else {
      throw RenderingError(
        .unsupported(
          what: "model", expected: "a Stable Diffusion 1, 2 or XL model",
          found: family.withArticle + " model",
          hint: nil), file: checkpoint.path)
    }
    guard !checkpoint.weights(of: .denoiser).isEmpty else {
      throw RenderingError(.missing("a UNet", hint: hint), file: checkpoint.path)
    }
  }

  private static func tokenizer(inFolder folder: String) throws -> CLIPTokenizer? {
    let path = "\(folder)/tokenizer/merges.txt"
    guard let merges = try text(of: path) else { return nil }
    let other = "\(folder)/tokenizer/vocab.json"
    return try CLIPTokenizer(merges: merges, vocabulary: text(of: other), source: path, vocabularySource: other)
  }

  /// The text of a small file; `nil` where there is none.
  ///
  /// - Throws: `FileError` for what is no file or cannot be read, `RenderingError` for what is no text or longer than any
  ///   such file is.
  private static func text(of path: String) throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try MappedFile(path: path).bytes
    func refusal(_ expected: String, _ found: String) -> RenderingError {
      RenderingError(.unsupported(what: "content", expected: expected, found: found, hint: nil), file: path)
    }
    guard bytes.count <= JSONValue.mostBytes else {
      throw refusal("at most \(JSONValue.mostBytes) bytes", "\(bytes.count)")
    }
    guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw refusal("text in UTF-8", "other bytes")
    }
    return text
  }

  private static func scheduler(
    _ checkpoint: Checkpoint, folder: String?, isXL: Bool, isOpenCLIP: Bool
  ) throws -> (SchedulerSettings, [String]) {
    if let path = folder.map({ "\($0)/scheduler/scheduler_config.json" }), let json = try text(of: path) {
      do throws(SamplingError) {
        let settings = try SchedulerSettings(json: Data(json.utf8))
        try settings.check()
        return (settings, [])
      } catch {
        throw RenderingError(.settings(reason: "\(error)"), file: path)
      }
    }
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
    return (
      .stableDiffusion2V,
      [
        "the file does not say what its UNet predicts; taken as velocity (--prediction epsilon for 512 pixel base models)"
      ]
    )
  }

  /// How closely prompts are followed where nobody says it.
  public func usualGuidance(with sampler: SamplerKind) -> Double {
    sampler.isConsistencyModel ? 1 : textUse == .two ? 6 : 7
  }

  /// The token that fills up texts for an encoder.
  func paddingToken(_ encoder: Int) -> Int32 { padding[encoder] == .zero ? 0 : tokenizer.end }

  /// How many pixels a latent pixel stands for, along each side.
  public var reduction: Int { autoencoder?.reduction ?? 8 }

  /// The side of the pictures that the model was trained with.
  public var usualSize: Int {
    if let side = trainedSide { return side * reduction }
    return switch textUse {
    case .two: 1024
    case .one: scheduler.prediction == .velocity ? 768 : 512
    }
  }
}
