import Checkpoints
import Kernels
import Networks
import Prompts
import Sampling

/// What is particular to one kind of picture models: how its measures are read, its networks made, and their memory told.
///
/// A kind is a type in a folder of its own that reads a checkpoint's configurations or shapes, and
/// `PictureModel.architecture(of:)` tells it apart.
protocol ModelArchitecture: Sendable {
  /// For people: `UNet`.
  var denoiserName: String { get }
  /// Those that the denoiser sees.
  var latents: LatentFormat { get }
  /// Of the checkpoint's own autoencoder, if it has one.
  var autoencoder: AutoencoderConfiguration? { get }
  /// What the checkpoint says about its noise.
  var scheduler: SchedulerSettings { get }
  /// What had to be assumed.
  var assumptions: [PictureModel.Assumption] { get }
  /// Whether the denoiser is told how closely to follow the text, and needs no prediction without it.
  var isGuidanceDistilled: Bool { get }
  /// How closely prompts are followed where nobody says it.
  var usualGuidance: Double { get }
  /// The layers of the text encoder that has the fewest.
  var textLayers: Int { get }

  /// The side, in pixels, of the pictures that the model was trained with.
  ///
  /// - Parameter scheduler: perhaps another than the checkpoint's.
  func usualSize(_ scheduler: SchedulerSettings) -> Int

  /// How many tokens at a text's end are not read.
  func truncatedTokens(of text: String, style: PromptStyle) throws -> Int

  /// Whether parts of a prompt can have weights; where not, brackets are text.
  var weighsPrompts: Bool { get }

  /// Whether the weights of one denoiser can be used with the measures of the other.
  func hasDenoiser(like other: any ModelArchitecture) -> Bool

  /// - Parameters:
  ///   - size: of the latents that it will mostly see.
  ///   - tap: sees what goes into the layers.
  func denoiser(
    weights: any WeightSource, backend: any Backend, expecting size: MapSize, tap: (any LayerTap)?
  ) throws -> any Denoiser

  /// - Parameter tap: sees what goes into the layers.
  func textModel(weights: any WeightSource, backend: any Backend, tap: (any LayerTap)?) throws -> any TextModel

  /// What the steps take of memory, in bytes.
  ///
  /// - Parameters:
  ///   - latent: the size of the largest latents.
  ///   - batch: the samples of a step.
  func denoiserMemory(_ checkpoint: Checkpoint, latent: MapSize, batch: Int, precision: Precision, threads: Int) -> Int

  /// What reading texts takes of memory, in bytes.
  func textMemory(_ checkpoint: Checkpoint) -> Int
}

extension ModelArchitecture {
  var weighsPrompts: Bool { true }
}
