/// A seeded stream of normal numbers.
public protocol NoiseSource {
  /// `count` numbers with mean 0 and variance 1: what one call of `torch.randn` for that many elements gives. Where a
  /// stream is cut into calls is part of what it gives.
  mutating func normals(count: Int) -> [Float]
}

/// One source for each image of a batch: image i is what it would be alone, with its own seed.
public struct BatchNoise<Source: NoiseSource>: NoiseSource {
  /// In the order of the batch's images, each as far as it was drawn from.
  public private(set) var sources: [Source]

  /// At least one source, and one for each image.
  public init(_ sources: [Source]) {
    precondition(!sources.isEmpty, "a batch needs an image")
    self.sources = sources
  }

  /// The same number from each source, one image after the other. `count` must be a multiple of the number of images.
  public mutating func normals(count: Int) -> [Float] {
    precondition(count % sources.count == 0, "images of a batch have the same size")
    let each = count / sources.count
    return sources.indices.flatMap { sources[$0].normals(count: each) }
  }
}

extension BatchNoise: Sendable where Source: Sendable {}
