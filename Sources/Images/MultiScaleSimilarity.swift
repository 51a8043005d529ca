import Platform

/// MS-SSIM (Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003): contrast and
/// structure count at every scale but the coarsest, and the whole index there.
///
/// Scale 1 is the picture, and each further one the one before it halved, by means of 2x2 pixels. A picture has scale k only
/// where no side is shorter than 11 · 2^(k - 1) pixels: five scales from 176 pixels on, one below 22.
enum MultiScaleSimilarity {
  /// The exponents of the scales, the finest first, as published; all five together make 1.0001.
  private static let weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]

  /// The structural similarity at each scale that fits, the finest first.
  ///
  /// - Throws: `ImageError.tooSmall` where not even one does.
  static func scales(_ a: RGBImage, _ b: RGBImage) throws(ImageError) -> [StructuralSimilarity] {
    let window = StructuralSimilarity.window
    let side = min(a.width, a.height)
    guard side >= window else { throw ImageError(.tooSmall(expected: "\(window)x\(window)", found: a.sizeText)) }
    var (first, second) = (StructuralSimilarity.luma(a), StructuralSimilarity.luma(b))
    var scales = [StructuralSimilarity(first, second)]
    while scales.count < weights.count, side >= window << scales.count {
      (first, second) = (first.halved(), second.halved())
      scales.append(StructuralSimilarity(first, second))
    }
    return scales
  }

  /// The product over the scales, each to the power of its weight. With fewer than five scales their weights are divided
  /// by their sum. A negative mean counts as 0, since it has no such power.
  static func index(of scales: [StructuralSimilarity]) -> Double {
    let used = weights.prefix(scales.count)
    let sum = used.count < weights.count ? used.reduce(0, +) : 1
    return zip(scales.indices, used).reduce(1) { product, next in
      let (place, weight) = next
      let mean = place == scales.count - 1 ? scales[place].index : scales[place].contrastAndStructure
      return product * pow(mean < 0 ? 0 : mean, weight / sum)
    }
  }
}
