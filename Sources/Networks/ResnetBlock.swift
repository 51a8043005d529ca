import Kernels

/// Two convolutions, each after a group norm and SiLU, added to the block's input.
struct ResnetBlock {
  private let norm1: GroupNorm
  private let convolution1: any Convolution
  /// From the time embedding to an offset for each channel.
  let timeProjection: (any Linear)?
  private let norm2: GroupNorm
  private let convolution2: any Convolution
  /// Where the number of channels changes.
  private let shortcut: (any Linear)?

  init(
    _ layers: LayerSource, _ inputs: Int, _ outputs: Int, timeChannels: Int?, groups: Int, epsilon: Float, size: MapSize
  ) throws {
    norm1 = try layers.groupNorm("norm1", inputs, groups: groups, epsilon: epsilon)
    convolution1 = try layers.convolution("conv1", inputs, outputs, expecting: size)
    timeProjection = try timeChannels.map { try layers.linear("time_emb_proj", $0, outputs, precision: .f32) }
    norm2 = try layers.groupNorm("norm2", outputs, groups: groups, epsilon: epsilon)
    convolution2 = try layers.convolution("conv2", outputs, outputs, expecting: size)
    shortcut = inputs == outputs ? nil : try layers.linear("conv_shortcut", inputs, outputs)
  }

  /// The result takes the memory of x, unless somebody else reads that: of large maps there are two at a time.
  ///
  /// - Parameter offset: what the time adds between the two convolutions, batch × 1 × 1 × outputs.
  func callAsFunction(_ x: inout FeatureMap, offset: FeatureMap? = nil) {
    // The offset joins the second norm instead of a pass of its own: nothing else reads the sum.
    let hidden = convolution1(x, after: norm1.factors(x), enlargedTo: nil)
    let factors = norm2.factors(hidden, offset: offset)
    shortcut?.replace(&x)
    convolution2.add(hidden, after: factors, to: &x)
  }
}

/// A 3 × 3 convolution of a map enlarged by repeating pixels.
struct Upsampler {
  private let convolution: any Convolution

  init(_ layers: LayerSource, _ channels: Int, size: MapSize) throws {
    convolution = try layers.convolution("conv", channels, channels, expecting: size, enlarging: true)
  }

  func callAsFunction(_ x: FeatureMap, to size: MapSize) -> FeatureMap {
    convolution(x, after: nil, enlargedTo: size)
  }
}
