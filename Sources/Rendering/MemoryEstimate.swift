public import Checkpoints
public import Kernels
import Networks
import Tensors

/// What rendering takes of the machine's memory, from shapes alone: weights in the layouts that kernels read, and maps.
///
/// Texts, the first picture, steps and decoding follow one another, and each gives back what it had; the largest counts. Files
/// are mapped, and what the system caches of them is not counted.
public struct MemoryEstimate: Sendable, Equatable {
  /// Bytes while texts are read, a picture to start from is encoded, steps are taken, and pictures are decoded.
  public private(set) var texts = 0
  /// Bytes while a picture to start from is encoded; 0 where there is none.
  public private(set) var encoding = 0
  /// Bytes while steps are taken.
  public private(set) var steps = 0
  /// Bytes while pictures are decoded.
  public private(set) var decoding = 0

  /// The most that is needed at a time, with the program's own.
  public var peak: Int { max(texts, encoding, steps, decoding) + Self.program }

  /// Tokenizers, compiled kernels, lists of numbers.
  static let program = 96 << 20

  /// - Parameters:
  ///   - encoder: where the weights are that encode a picture to start from; `nil` where there is none.
  ///   - decoder: where the autoencoder's weights are; `nil` for a TAESD.
  ///   - size: of the largest picture, in pixels.
  ///   - isGuided: whether each step sees two samples.
  ///   - samples: how many are predicted at once, where that is more.
  public init(
    _ model: PictureModel, _ checkpoint: Checkpoint, encoder: Checkpoint? = nil, decoder: Checkpoint?, size: MapSize,
    isGuided: Bool, samples: Int = 1, precision: Precision, threads: Int
  ) {
    let latent = model.latents.size(of: size)
    texts = model.architecture.textMemory(checkpoint)
    steps = model.architecture.denoiserMemory(
      checkpoint, latent: latent, batch: max(isGuided ? 2 : 1, samples), precision: precision, threads: threads)
    if let encoder { encoding = AutoencoderEncoder.memory(encoder, picture: size, threads: threads) }
    decoding =
      decoder.map { AutoencoderDecoder.memory($0, latent: latent, threads: threads) }
      ?? TinyDecoder.memory(picture: size, threads: threads)
  }

  /// Throws where a limit on the process's addresses (`ulimit -v`) leaves less: kernels that find no memory end the process.
  ///
  /// - Parameter file: the checkpoint, for the message.
  public func requireAddresses(threads: Int, file: String) throws(RenderingError) {
    // Threads have stacks and heaps of their own.
    let needed = peak + threads * 136 << 20
    if let free = AddressSpace.free, free < needed {
      throw RenderingError(.addressSpace(needed: needed, free: free), file: file)
    }
  }
}
