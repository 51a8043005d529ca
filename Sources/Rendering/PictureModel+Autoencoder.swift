import Checkpoints
import Kernels
import Networks

extension PictureModel {
  /// - Parameters:
  ///   - weights: of the model.
  ///   - size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `RenderingError` for autoencoders that do not go with the model, `CheckpointError`.
  func makeDecoder(
    _ source: AutoencoderSource, weights: some WeightSource, backend: any Backend, expecting size: MapSize
  ) throws -> PictureDecoder {
    try RenderingError.ofNetworks {
      if case .tiny(let path) = source {
        try require(channels: TinyDecoder.latentChannels, reduction: TinyDecoder.reduction, of: path)
        return try PictureDecoder(tiny: path, backend: backend, expecting: size)
      }
      let (configuration, weights) = try autoencoder(source, weights)
      return try PictureDecoder(configuration, weights: weights, backend: backend, expecting: size)
    }
  }

  /// Like `makeDecoder`; a TAESD has no encoder, so that the model's own is taken.
  func makeEncoder(
    _ source: AutoencoderSource, weights: some WeightSource, backend: any Backend, expecting size: MapSize
  ) throws -> PictureEncoder {
    try RenderingError.ofNetworks {
      let (configuration, weights) = try autoencoder(source, weights)
      return try PictureEncoder(configuration, weights: weights, backend: backend, expecting: size)
    }
  }

  private func autoencoder(
    _ source: AutoencoderSource, _ weights: some WeightSource
  ) throws -> (AutoencoderConfiguration, any WeightSource) {
    let chosen: AutoencoderConfiguration, chosenWeights: any WeightSource, file: String
    if case .other(let checkpoint) = source {
      chosen = try AutoencoderConfiguration(of: checkpoint).scaled(by: latents.scaling)
      (chosenWeights, file) = (checkpoint, checkpoint.path)
    } else {
      guard let own = architecture.autoencoder else {
        throw RenderingError(.noAutoencoder(isApart: false), file: path)
      }
      (chosen, chosenWeights, file) = (own, weights, path)
    }
    try require(channels: chosen.latentChannels, reduction: chosen.reduction, of: file)
    return (chosen, chosenWeights)
  }

  /// Refuses an autoencoder whose latents are not those of the denoiser.
  private func require(channels: Int, reduction: Int, of file: String) throws {
    guard channels == latents.channels else {
      throw RenderingError(
        .unsupported(
          what: "the autoencoder's latents", expected: "\(latents.channels) channels as the \(denoiserName) has them",
          found: "\(channels)", hint: nil), file: file)
    }
    guard reduction == latents.reduction else {
      throw RenderingError(
        .unsupported(
          what: "the autoencoder's latents", expected: "one for each \(latents.reduction) pixels along a side",
          found: "one for each \(reduction)", hint: nil), file: file)
    }
  }
}

extension LatentFormat {
  init(_ autoencoder: AutoencoderConfiguration) {
    self.init(
      channels: autoencoder.latentChannels, reduction: autoencoder.reduction, scaling: Scaling(autoencoder))
  }
}

extension LatentFormat.Scaling {
  init(_ autoencoder: AutoencoderConfiguration) { (scale, shift) = (autoencoder.scale, autoencoder.shift) }
}

extension AutoencoderConfiguration {
  /// What latents mean is a matter of the denoiser that makes them.
  fileprivate func scaled(by scaling: LatentFormat.Scaling?) -> AutoencoderConfiguration {
    guard let scaling else { return self }
    var result = self
    (result.scale, result.shift) = (scaling.scale, scaling.shift)
    return result
  }
}
