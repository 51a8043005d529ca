import Checkpoints
public import Kernels
import Tensors

/// A small, quick decoder of latents (TAESD, by Ollin Boer Bohan): a twentieth of the full one's work, for previews.
public final class TinyDecoder {
  private enum Step {
    case convolution(any Convolution, isLast: Bool)
    case block([any Convolution])
    case enlarged(any Convolution)
  }

  /// How many pixels a latent pixel stands for, along each side.
  public static let reduction = 8
  /// Numbers of a latent pixel: those of Stable Diffusion's autoencoders.
  public static let latentChannels = 4
  static let channels = 64
  /// Blocks before each doubling of the size.
  private static let blocksPerLevel = 3

  /// What may stand before the names of layers, and the number of the first: the author counts the soft limit at the
  /// beginning as a layer, diffusers does not. stable-diffusion.cpp has the prefix of full autoencoders besides.
  private static let spellings: [(prefix: String, first: Int)] = [
    ("decoder.layers.", 0), ("first_stage_model.decoder.", 1), ("decoder.", 1), ("", 1),
  ]

  /// Whether a file whose tensors have these names holds a decoder of this kind.
  public static func isDecoder(_ names: Set<String>) -> Bool {
    spellings.contains { names.contains($0.prefix + "\($0.first).weight") }
  }

  private let steps: [Step]
  private let backend: any Backend

  /// - Parameters:
  ///   - path: a file with the decoder, under its author's names (`1.weight`, `3.conv.0.weight`, perhaps behind
  ///     `decoder.`) or diffusers' (`decoder.layers.0.weight`).
  ///   - size: of the latent pictures that it will mostly see.
  /// - Throws: `NetworkError`, or the error of the file's room.
  public convenience init(path: String, backend: any Backend, expecting size: MapSize) throws {
    try self.init(WeightFile(path: path), backend: backend, expecting: size)
  }

  init(_ file: WeightFile, backend: any Backend, expecting size: MapSize) throws {
    self.backend = backend
    let (prefix, first) =
      Self.spellings.first { file.index(of: $0.prefix + "\($0.first).weight") != nil } ?? Self.spellings.last!
    func tensor(_ name: String, _ extents: [Int]) throws -> Tensor {
      guard let tensor = file[prefix + name] else {
        throw NetworkError(
          .missing(
            "the tensor \(prefix + name) of a TAESD decoder", hint: "taesd_decoder.safetensors is its usual name"),
          file: file.path)
      }
      guard tensor.shape == Shape(extents) else {
        throw NetworkError(
          .shape(tensor: prefix + name, expected: "\(Shape(extents))", found: "\(tensor.shape)"),
          file: file.path)
      }
      return tensor
    }
    func convolution(
      _ name: String, _ inputs: Int, _ outputs: Int, _ size: MapSize, bias: Bool = true, enlarging: Bool = false
    ) throws -> any Convolution {
      backend.convolution(
        weight: try tensor("\(name).weight", [outputs, inputs, 3, 3]),
        bias: bias ? try tensor("\(name).bias", [outputs]) : nil, geometry: .same, precision: backend.precision,
        expecting: size, enlarging: enlarging)
    }
    let channels = Self.channels
    var steps = [Step.convolution(try convolution("\(first)", Self.latentChannels, channels, size), isLast: false)]
    var place = first + 2, size = size
    func addBlocks(_ count: Int) throws {
      for _ in 0..<count {
        steps.append(.block(try [0, 2, 4].map { try convolution("\(place).conv.\($0)", channels, channels, size) }))
        place += 1
      }
    }
    for _ in 0..<3 {
      try addBlocks(Self.blocksPerLevel)
      size = size.doubled
      steps.append(
        .enlarged(try convolution("\(place + 1)", channels, channels, size, bias: false, enlarging: true)))
      place += 2
    }
    try addBlocks(1)
    steps.append(.convolution(try convolution("\(place)", channels, 3, size), isLast: true))
    self.steps = steps
  }

  /// - Parameter latent: batch × height × width × 4, as the UNet has it.
  /// - Returns: pictures of [-1, 1], eight times as high and wide.
  public func callAsFunction(_ latent: FeatureMap) -> FeatureMap {
    var x = backend.softlyLimited(latent, to: 3)
    for step in steps {
      switch step {
      case .convolution(let convolution, let isLast):
        x = convolution(x, after: nil, enlargedTo: nil)
        if !isLast { x = backend.activated(x, .relu, as: .f32) }
      case .enlarged(let convolution):
        x = convolution(x, after: nil, enlargedTo: x.size.doubled)
      case .block(let convolutions):
        var hidden = x
        for convolution in convolutions.dropLast() {
          hidden = backend.activated(convolution(hidden, after: nil, enlargedTo: nil), .relu, as: .f32)
        }
        convolutions.last!.add(hidden, after: nil, to: &x)
        x = backend.activated(x, .relu, as: .f32)
      }
    }
    return x.mapped(pool: backend.pool) { 2 * $0 - 1 }
  }
}
