public import Images
public import Kernels
public import Prompts
public import Sampling

/// A picture to be rendered.
public struct RenderRequest: Sendable {
  /// Whose random numbers the noise is made of.
  public enum Generator: String, Sendable, CaseIterable {
    /// torch's on a CPU, as diffusers and ComfyUI have it.
    case torch
    /// Philox, as torch has it on NVIDIA's GPUs and A1111 by default.
    case philox
  }

  /// A picture to start from.
  public struct Start: Sendable {
    /// Of the request's size.
    public var image: RGBImage
    /// How much of it is replaced, above 0 and up to 1.
    public var strength: Double
    /// Whether its latents are drawn from the autoencoder's distribution, as diffusers does, or are the means.
    public var draws: Bool

    /// `strength` above 0 and up to 1; the image as large as the picture to be made.
    public init(image: RGBImage, strength: Double, draws: Bool = true) {
      self.image = image
      self.strength = strength
      self.draws = draws
    }
  }

  /// What the picture is to show, in the spelling that `style` reads.
  public var prompt: String
  /// `nil` for none, which for SDXL is not the same as an empty text.
  public var negativePrompt: String?
  /// How weights and breaks in both prompts are read.
  public var style = PromptStyle.a1111
  /// Layers of the text encoder that are left out at its end; A1111's "clip skip" less 1.
  public var textLayersSkipped = 0
  /// Of the picture's noise; each picture of a batch has its own.
  public var seed: UInt64 = 0
  /// What turns the seed into noise.
  public var generator = Generator.torch
  /// Height and width in pixels.
  public var size: MapSize
  /// The rule by which steps remove noise.
  public var sampler = SamplerKind.euler
  /// Noise levels from pure noise on; with a picture to start from the first ones are left out.
  public var steps = 20
  /// Of DDIM and TCD; `nil` for their own.
  public var eta: Double?
  /// How far predictions are moved away from the negative prompt.
  public var guidance = Guidance(scale: 7)
  /// `nil` for a picture made of noise alone.
  public var start: Start?
  /// What SDXL is told of the picture's size and place: original height and width, top, left, target height and width.
  public var sizes: [Float]?

  /// A picture without a negative prompt or a start: 20 steps of Euler's method at a guidance of 7.
  public init(prompt: String, size: MapSize) {
    self.prompt = prompt
    self.size = size
  }
}
