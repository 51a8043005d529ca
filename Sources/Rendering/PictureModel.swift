public import Checkpoints
public import Kernels
public import Models
import Networks
public import Prompts
public import Sampling

/// A model that makes pictures: what is to be known of it before its weights are read, and what its networks are made by.
///
/// Those who render ask for a `Denoiser`, a `TextModel` and latents of a `LatentFormat`, and never learn what is behind them:
///
/// ```swift
/// let checkpoint = try Checkpoint(path: "sd15.safetensors")
/// let model = try PictureModel(checkpoint)
/// let texts = try model.makeTextModel(weights: checkpoint, backend: backend)
/// let denoiser = try model.makeDenoiser(weights: checkpoint, backend: backend, expecting: MapSize(height: 64, width: 64))
/// ```
public struct PictureModel: Sendable {
  /// Of the checkpoint.
  public let path: String
  /// Those that the denoiser sees.
  public let latents: LatentFormat
  /// Those that the checkpoint's own autoencoder makes; `nil` where it has none.
  public let autoencoder: LatentFormat?
  /// How its noise is meant.
  public var scheduler: SchedulerSettings
  /// What had to be assumed.
  public let assumptions: [Assumption]
  let architecture: any ModelArchitecture

  /// Reads configurations and, in single files, names and shapes; no weights.
  ///
  /// - Throws: `RenderingError` for models that cannot be rendered, with the reason; `CheckpointError`.
  public init(_ checkpoint: Checkpoint) throws {
    self.init(try RenderingError.ofNetworks { try Self.architecture(of: checkpoint) }, path: checkpoint.path)
  }

  init(_ architecture: any ModelArchitecture, path: String) {
    (self.architecture, self.path) = (architecture, path)
    latents = architecture.latents
    autoencoder = architecture.autoencoder.map { LatentFormat($0) }
    scheduler = architecture.scheduler
    assumptions = architecture.assumptions
  }

  /// Whether models of a family can be rendered.
  public static func canRender(_ family: Family) -> Bool {
    family == ZImage.family || family.hasUNet && !family.isNoBaseModel
  }

  /// The one place that tells the kinds of models apart.
  private static func architecture(of checkpoint: Checkpoint) throws -> any ModelArchitecture {
    let hint = "only Stable Diffusion 1, 2 and XL and Z-Image can be rendered"
    let family = checkpoint.family
    if family.isNoBaseModel {
      throw RenderingError(
        .unsupported(what: "model", expected: "a base model", found: family.withArticle, hint: hint),
        file: checkpoint.path)
    }
    if family == ZImage.family { return try ZImage(checkpoint) }
    guard family.hasUNet || family == .unknown else {
      throw RenderingError(
        .unsupported(
          what: "model", expected: "a Stable Diffusion 1, 2 or XL model or Z-Image",
          found: family.withArticle + (family.name.hasSuffix("model") ? "" : " model"), hint: nil),
        file: checkpoint.path)
    }
    guard !checkpoint.weights(of: .denoiser).isEmpty else {
      throw RenderingError(.missing("a UNet", hint: hint), file: checkpoint.path)
    }
    return try StableDiffusion(checkpoint)
  }

  // MARK: What it is

  /// What people call its denoiser: `UNet`.
  public var denoiserName: String { architecture.denoiserName }

  /// Whether the denoiser is told how closely to follow the text, and needs no prediction without it.
  public var isGuidanceDistilled: Bool { architecture.isGuidanceDistilled }

  /// The side, in pixels, of the pictures that it was trained with.
  public var usualSize: Int { architecture.usualSize(scheduler) }

  /// How closely prompts are followed where nobody says it.
  public func usualGuidance(with sampler: SamplerKind) -> Double {
    sampler.isConsistencyModel ? 1 : architecture.usualGuidance
  }

  /// The layers of the text encoder that has the fewest: no text can be taken from further away from its end.
  public var textLayers: Int { architecture.textLayers }

  /// Whether parts of a prompt can have weights; where not, brackets are text like any other.
  public var weighsPrompts: Bool { architecture.weighsPrompts }

  /// How many tokens at a text's end are not read.
  ///
  /// - Throws: `PromptError`.
  public func truncatedTokens(of text: String, style: PromptStyle) throws -> Int {
    try architecture.truncatedTokens(of: text, style: style)
  }

  /// Whether its denoiser has the same measures as another model's, so that their predictions can be compared.
  public func hasDenoiser(like other: PictureModel) -> Bool { architecture.hasDenoiser(like: other.architecture) }

  // MARK: Its networks

  /// - Parameters:
  ///   - weights: of the model, perhaps with something added.
  ///   - size: of the latents that it will mostly see.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public func makeDenoiser(
    weights: some WeightSource, backend: any Backend, expecting size: MapSize
  ) throws -> any Denoiser {
    try makeDenoiser(weights: weights, backend: backend, expecting: size, tap: nil)
  }

  /// - Parameter tap: sees what goes into the layers.
  func makeDenoiser(
    weights: any WeightSource, backend: any Backend, expecting size: MapSize, tap: (any LayerTap)?
  ) throws -> any Denoiser {
    try RenderingError.ofNetworks {
      try architecture.denoiser(weights: weights, backend: backend, expecting: size, tap: tap)
    }
  }

  /// - Parameter weights: of the model, perhaps with something added.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public func makeTextModel(weights: some WeightSource, backend: any Backend) throws -> any TextModel {
    try makeTextModel(weights: weights, backend: backend, tap: nil)
  }

  /// - Parameter tap: sees what goes into the layers.
  func makeTextModel(
    weights: any WeightSource, backend: any Backend, tap: (any LayerTap)?
  ) throws -> any TextModel {
    try RenderingError.ofNetworks { try architecture.textModel(weights: weights, backend: backend, tap: tap) }
  }
}

extension PictureModel {
  /// Something that a checkpoint does not say of itself.
  public enum Assumption: Sendable, Equatable, CustomStringConvertible {
    /// That the denoiser predicts the velocity.
    case velocity

    public var description: String {
      switch self {
      case .velocity: "the file does not say what its UNet predicts; taken as velocity"
      }
    }
  }
}
