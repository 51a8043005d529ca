import Checkpoints
import Diffusion
import Safetensors

/// What `--vae` names: a full autoencoder, or a TAESD by its tensors.
struct OtherAutoencoder {
  /// `nil` for a TAESD.
  let checkpoint: Checkpoint?
  let decoder: Renderer.Decoder

  init(path: String) throws {
    let isFile = path.hasSuffix(".safetensors")
    if isFile, LatentPreview.isDecoder(Set(try SafetensorsFile(path: path).entries.map(\.name))) {
      (checkpoint, decoder) = (nil, .tiny(path: path))
    } else {
      let checkpoint = try Checkpoint(path: path)
      (self.checkpoint, decoder) = (checkpoint, .other(checkpoint))
    }
  }
}
