import Checkpoints
import Rendering

/// What `--vae` names: a full autoencoder, or a TAESD by its tensors.
struct OtherAutoencoder {
  /// `nil` for a TAESD.
  let checkpoint: Checkpoint?
  let decoder: Renderer.Decoder

  init(path: String) throws {
    let isFile = !Checkpoint.isFolder(path) && !path.hasSuffix(".json")
    if isFile, LatentPreview.isDecoder(Set(try WeightFile(path: path).entries.map(\.name))) {
      (checkpoint, decoder) = (nil, .tiny(path: path))
    } else {
      let checkpoint = try Checkpoint(path: path)
      (self.checkpoint, decoder) = (checkpoint, .other(checkpoint))
    }
  }
}
