public import Checkpoints
import Networks

/// What turns latents into pictures, and pictures into latents.
public enum AutoencoderSource: Sendable {
  /// The model's own autoencoder.
  case own
  /// That of another checkpoint.
  case other(Checkpoint)
  /// A small decoder, a TAESD, from its file.
  case tiny(path: String)

  /// A full autoencoder of a file, a folder or a checkpoint, or a TAESD, which is told by its tensors.
  ///
  /// - Throws: what the rooms of files throw.
  public init(path: String) throws {
    let isFile = !Checkpoint.isFolder(path) && !path.hasSuffix(".json")
    if isFile, LatentPreview.isDecoder(Set(try WeightFile(path: path).entries.map(\.name))) {
      self = .tiny(path: path)
    } else {
      self = .other(try Checkpoint(path: path))
    }
  }

  /// Where another full autoencoder is; `nil` for the model's own, and for a TAESD.
  public var checkpoint: Checkpoint? { if case .other(let checkpoint) = self { checkpoint } else { nil } }

  /// The latents that it takes; `nil` for the model's own.
  ///
  /// - Throws: `RenderingError` for what is no autoencoder, `CheckpointError`.
  public func latents() throws -> LatentFormat? {
    switch self {
    case .own: nil
    case .other(let checkpoint):
      LatentFormat(try RenderingError.ofNetworks { try AutoencoderConfiguration(of: checkpoint) })
    case .tiny: LatentFormat(channels: TinyDecoder.latentChannels, reduction: TinyDecoder.reduction)
    }
  }
}
