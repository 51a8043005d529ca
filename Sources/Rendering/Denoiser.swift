public import Kernels

/// What predicts the noise, or the velocity, in noisy latents: a UNet, or a transformer.
///
/// It is told first what stays the same for all steps of a picture, so that keys and values of texts and the embeddings of
/// times are computed once.
public protocol Denoiser {
  /// - Parameters:
  ///   - conditions: of each sample; their texts have equally many tokens where the model's `TextModel` fills them up.
  ///   - steps: for each step the time of each sample.
  func prepared(for conditions: [DenoiserCondition], steps: [[Float]]) throws -> any PreparedDenoiser
}

/// A denoiser that knows its conditions and its times.
public protocol PreparedDenoiser {
  /// What is predicted at a step.
  ///
  /// - Parameter latents: of each sample, samples × height × width × channels, as the model's `LatentFormat` has them.
  /// - Returns: a map of the same extents.
  func prediction(of latents: FeatureMap, step: Int) throws -> FeatureMap
}

/// What the prediction for a sample is conditioned on.
public struct DenoiserCondition: Sendable {
  /// What the prompt says, or the negative one.
  public var text: TextFeatures
  /// Original height and width, top and left of the crop, target height and width, in pixels; for models that are told.
  public var sizes: [Float]
  /// The guidance strength that a distilled model is told.
  public var guidance: Float

  /// `sizes` may be empty, and `guidance` is not used, for models that are not told.
  public init(text: TextFeatures, sizes: [Float], guidance: Float = 1) {
    (self.text, self.sizes, self.guidance) = (text, sizes, guidance)
  }

  /// The `sizes` of a picture that was neither scaled nor cropped.
  public static func sizes(of picture: MapSize) -> [Float] {
    let height = Float(picture.height), width = Float(picture.width)
    return [height, width, 0, 0, height, width]
  }
}
