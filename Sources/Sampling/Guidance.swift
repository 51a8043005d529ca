/// How the network's outputs with and without the prompt are joined (Ho and Salimans 2022, arXiv:2207.12598).
public struct Guidance: Equatable, Sendable {
  /// 1 follows the prompt as far as the network does; more goes beyond.
  public var scale: Float
  /// φ: how far the result's deviation is brought back to that of the output with the prompt, 0 to 1 (Lin and others
  /// 2023, arXiv:2305.08891, section 3.4).
  public var rescale: Float

  /// A `scale` of 1 or less uses the prompt alone; a `rescale` of 0 leaves the deviation as it is.
  public init(scale: Float, rescale: Float = 0) {
    self.scale = scale
    self.rescale = rescale
  }

  /// Whether the output without the prompt is needed at all. Up to a scale of 1 it is not, as in diffusers.
  public var needsUnconditional: Bool { scale > 1 }

  /// u + scale · (c − u), rescaled for each image by itself.
  /// - Parameters:
  ///   - unconditional: Outputs u without the prompt, one image after the other.
  ///   - conditional: Outputs c with it, as many.
  ///   - images: How many there are.
  public func combined(unconditional: [Float], conditional: [Float], images: Int = 1) -> [Float] {
    precondition(unconditional.count == conditional.count, "both outputs have the same size")
    precondition(images > 0 && conditional.count % images == 0, "images of a batch have the same size")
    var result = zip(unconditional, conditional).map { $0 + scale * ($1 - $0) }
    guard rescale > 0, !result.isEmpty else { return result }
    let size = conditional.count / images
    for image in 0..<images {
      let range = image * size..<(image + 1) * size
      let wanted = Self.deviation(conditional[range])
      let found = Self.deviation(result[range])
      // An image without deviation has none to bring back.
      guard found > 0 else { continue }
      let factor = rescale * Float(wanted / found) + (1 - rescale)
      for index in range { result[index] *= factor }
    }
    return result
  }

  /// √Σ(value − mean)²: a standard deviation but for a divisor, which a quotient of two does not have.
  private static func deviation(_ values: ArraySlice<Float>) -> Double {
    let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
    return values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }.squareRoot()
  }
}
