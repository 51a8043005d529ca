public import Checkpoints
public import Kernels
import Tensors

/// Z-Image's denoiser (Alibaba 2025): a transformer whose tokens are patches of the picture and, behind them, the text.
///
/// It predicts the velocity noise − picture of a rectified flow; wired as in diffusers' `ZImageTransformer2DModel`.
public final class ZImageTransformer {
  /// What the text gives to all steps: it has been through the blocks that see no time.
  public struct PreparedText { let tokens: FeatureMap }

  /// What a time gives to all blocks of a step: 1 × 1 × samples × channels.
  public struct PreparedTime { let features: FeatureMap }

  /// The measures that its weights were read by.
  public let configuration: ZImageConfiguration
  private let backend: any Backend
  private let time: (any Linear, any Linear)
  private let pictureEmbedding: any Linear
  private let textNorm: TokenNorm
  private let textEmbedding: any Linear
  private let picturePad: [Float]
  private let textPad: [Float]
  private let textBlocks: [SingleStreamBlock]
  private let pictureBlocks: [SingleStreamBlock]
  private let blocks: [SingleStreamBlock]
  private let outputModulation: any Linear
  private let output: any Linear
  /// Of the last pictures' size and text, since all steps have the same.
  private var positions: (key: [Int], picture: RotationTable, joint: RotationTable)?

  /// - Parameter tap: sees what goes into the layers.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: ZImageConfiguration, weights: some WeightSource, backend: any Backend,
    tap: (any LayerTap)? = nil
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let layers = LayerSource(weights, .denoiser, backend: backend, tap: tap), channels = configuration.channels
    let patch = ZImageConfiguration.patch * ZImageConfiguration.patch * configuration.latentChannels
    let inside = configuration.hiddenTimeChannels, outside = configuration.timeChannels
    func blocks(_ name: String, _ count: Int, hasTime: Bool = true) throws -> [SingleStreamBlock] {
      try (0..<count).map {
        try SingleStreamBlock(
          layers[name, $0], channels, heads: configuration.heads, hidden: configuration.hiddenChannels,
          timeChannels: hasTime ? outside : nil)
      }
    }
    time = (
      try layers.linear("t_embedder.mlp.0", ZImageConfiguration.sinusoid, inside, precision: .f32),
      try layers.linear("t_embedder.mlp.2", inside, outside, precision: .f32)
    )
    pictureEmbedding = try layers.linear("all_x_embedder.2-1", patch, channels, precision: .f32)
    textNorm = try layers.tokenNorm("cap_embedder.0", configuration.contextChannels, epsilon: 1e-5)
    textEmbedding = try layers.linear("cap_embedder.1", configuration.contextChannels, channels, precision: .f32)
    picturePad = try layers.tensor("x_pad_token", 1, channels).floats()
    textPad = try layers.tensor("cap_pad_token", 1, channels).floats()
    textBlocks = try blocks("context_refiner", configuration.refiners, hasTime: false)
    pictureBlocks = try blocks("noise_refiner", configuration.refiners)
    self.blocks = try blocks("layers", configuration.layers)
    let last = layers["all_final_layer.2-1"]
    outputModulation = try last.linear("adaLN_modulation.1", outside, channels, precision: .f32)
    output = try last.linear("linear", channels, patch, precision: .f32)
  }

  // MARK: What stays the same

  /// How many tokens a text has for the network: it is filled up, and what fills it is read like any other.
  public static func filled(_ tokens: Int) -> Int {
    let multiple = ZImageConfiguration.multiple
    return (tokens + multiple - 1) / multiple * multiple
  }

  /// - Parameters:
  ///   - text: the text encoder's features, samples × 1 × tokens × channels.
  ///   - observer: is shown the output of each block under its name in diffusers' dialect.
  public func prepare(text: FeatureMap, observer: ((String, FeatureMap) -> Void)? = nil) -> PreparedText {
    precondition(text.channels == configuration.contextChannels, "a text of \(text.channels) channels")
    var tokens = textEmbedding(backend.tokenNorm(text, textNorm, as: .f32), as: .f32)
    observer?("cap_embedder", tokens)
    tokens = filled(tokens, with: textPad)
    let positions = table((0..<tokens.pixels).map { [1 + $0, 0, 0] })
    for (index, block) in textBlocks.enumerated() {
      block(&tokens, time: nil, positions: positions)
      observer?("context_refiner.\(index)", tokens)
    }
    return PreparedText(tokens: tokens)
  }

  /// - Parameter steps: for each step the time of each sample, 1000 for noise alone.
  public func prepare(times steps: [[Float]]) -> [PreparedTime] {
    steps.map { times in
      let vectors = times.flatMap { time in
        // In this order, which matters: 1 − σ would have lost digits.
        Sinusoid.cosinesFirst((1000 - time) / 1000 * 1000, channels: ZImageConfiguration.sinusoid)
      }
      let map = FeatureMap(
        vectors, batch: 1, height: 1, width: times.count, channels: ZImageConfiguration.sinusoid, pool: backend.pool)
      return PreparedTime(features: time.1(backend.activated(time.0(map, as: .f32), .silu, as: .f32), as: .f32))
    }
  }

  // MARK: One step

  /// The predicted velocity in `latent`, samples × height × width × channels, both sides of which are even.
  ///
  /// - Parameter observer: is shown the output of each block under its name in diffusers' dialect.
  public func callAsFunction(
    _ latent: FeatureMap, time: PreparedTime, text: PreparedText, observer: ((String, FeatureMap) -> Void)? = nil
  ) -> FeatureMap {
    let patch = ZImageConfiguration.patch
    precondition(latent.height % patch == 0 && latent.width % patch == 0, "a latent that is not whole patches")
    let embedded = pictureEmbedding(patches(latent), as: .f32), count = embedded.pixels
    observer?("all_x_embedder.2-1", embedded)
    var x = filled(embedded, with: picturePad)
    let positions = positions(latent.size, picture: x.pixels, text: text.tokens.pixels)
    for (index, block) in pictureBlocks.enumerated() {
      block(&x, time: time.features, positions: positions.picture)
      observer?("noise_refiner.\(index)", x)
    }
    x = x.followed(by: text.tokens, pool: backend.pool)
    for (index, block) in blocks.enumerated() {
      block(&x, time: time.features, positions: positions.joint)
      observer?("layers.\(index)", x)
    }
    let gains = outputModulation(backend.activated(time.features, .silu, as: .f32), as: .f32).values.map { 1 + $0 }
    let norm = TokenNorm(
      gains: gains, samples: latent.batch, isCentered: true, epsilon: 1e-6, pool: backend.pool)
    let picture = backend.tokenNorm(x.tokens(0..<count, pool: backend.pool), norm, as: .f32)
    return velocity(output(picture, as: .f32), size: latent.size)
  }

  // MARK: Tokens

  /// Tokens up to a multiple, the rest copies of one row.
  private func filled(_ x: FeatureMap, with row: [Float]) -> FeatureMap {
    let missing = Self.filled(x.pixels) - x.pixels
    guard missing > 0 else { return x }
    let rows = Array(repeating: row, count: x.batch * missing).flatMap { $0 }
    return x.followed(
      by: FeatureMap(rows, batch: x.batch, height: 1, width: missing, channels: x.channels, pool: backend.pool),
      pool: backend.pool)
  }

  /// The numbers of 2 × 2 latent pixels as one token: row in the patch, column, channel.
  private func patches(_ latent: FeatureMap) -> FeatureMap {
    FeatureMap(
      latent.values.regrouped(patchPlaces(latent.size, samples: latent.batch, latent.channels), isGathering: true),
      batch: latent.batch, height: 1, width: latent.pixels / 4, channels: 4 * latent.channels, pool: backend.pool)
  }

  /// The network's output, which is the velocity's negative, as a latent.
  private func velocity(_ tokens: FeatureMap, size: MapSize) -> FeatureMap {
    let channels = tokens.channels / 4
    let values = tokens.values.map { -$0 }
    return FeatureMap(
      values.regrouped(patchPlaces(size, samples: tokens.batch, channels), isGathering: false), batch: tokens.batch,
      height: size.height, width: size.width, channels: channels, pool: backend.pool)
  }

  /// Where the channels of each latent pixel stand in a latent, in the order in which tokens have them.
  private func patchPlaces(_ size: MapSize, samples: Int, _ channels: Int) -> (starts: [Int], length: Int) {
    var starts: [Int] = []
    starts.reserveCapacity(samples * size.area)
    for sample in 0..<samples {
      for y in stride(from: 0, to: size.height, by: 2) {
        for x in stride(from: 0, to: size.width, by: 2) {
          for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            starts.append(((sample * size.height + y + dy) * size.width + x + dx) * channels)
          }
        }
      }
    }
    return (starts, channels)
  }

  // MARK: Places

  private func table(_ places: [[Int]]) -> RotationTable {
    RotationTable(
      angles: RotaryPositions.angles(places, shares: configuration.axes, theta: configuration.theta),
      tokens: places.count, style: .pairs, pool: backend.pool)
  }

  /// The text's tokens follow one another on the first axis from 1; the picture comes after all of them, and has its rows
  /// and columns on the others. What fills it up stands at the origin.
  private func positions(
    _ size: MapSize, picture: Int, text: Int
  ) -> (picture: RotationTable, joint: RotationTable) {
    let key = [size.height, size.width, text]
    if let positions, positions.key == key { return (positions.picture, positions.joint) }
    let rows = size.height / 2, columns = size.width / 2
    let own = (0..<picture).map { token in
      token < rows * columns ? [text + 1, token / columns, token % columns] : [0, 0, 0]
    }
    let tables = (table(own), table(own + (0..<text).map { [1 + $0, 0, 0] }))
    positions = (key, tables.0, tables.1)
    return tables
  }
}

extension [Float] {
  /// Runs of numbers from their places one after the other, or the other way round.
  fileprivate func regrouped(_ places: (starts: [Int], length: Int), isGathering: Bool) -> [Float] {
    let length = places.length
    return [Float](unsafeUninitializedCapacity: count) { target, initialized in
      for (index, start) in places.starts.enumerated() {
        for i in 0..<length {
          let (own, other) = (index * length + i, start + i)
          target.initializeElement(at: isGathering ? own : other, to: self[isGathering ? other : own])
        }
      }
      initialized = count
    }
  }
}
