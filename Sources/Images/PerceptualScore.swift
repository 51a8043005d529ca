import Platform

/// SSIMULACRA2, version 2.1, by Jon Sneyers (Cloudinary, 2023; github.com/cloudinary/ssimulacra2 and libjxl): the errors of
/// three components of colour at six scales in two norms, 108 in all, weighted and bent into a score.
///
/// It follows the original program where others differ from it: a picture that is blurred has zeros around it; a scale is left
/// out where the one before it has a side under 8 pixels, so that the last may be smaller; and the weights are used in their
/// order, with no gap for scales that are left out. Pictures with a side under 113 pixels have fewer than six scales, and by
/// the last rule other weights, so their scores mean something else. The original works in single precision, and its scores
/// of flat pictures are up to 2 points from those here, whose sums are in double precision.
enum PerceptualScore {
  private static let greatestCount = 6
  private static let smallestSide = 8

  /// The score, at most 100, of pictures of the same size with no side under 8 pixels.
  static func score(original: RGBImage, other: RGBImage) -> Double {
    score(scales: scales(original: original, other: other))
  }

  /// The errors of X, Y and B - Y at each scale, the finest first.
  static func scales(original: RGBImage, other: RGBImage) -> [[PerceptualErrors]] {
    var (a, b) = (LinearPicture(original), LinearPicture(other))
    var scales = [PerceptualScale(a, b).errors]
    while scales.count < greatestCount, min(a.width, a.height) >= smallestSide {
      (a, b) = (a.halved(), b.halved())
      scales.append(PerceptualScale(a, b).errors)
    }
    return scales
  }

  private static func score(scales: [[PerceptualErrors]]) -> Double {
    var (sum, place) = (0.0, 0)
    for component in 0..<3 {
      for scale in scales {
        for norm in scale[component].norms {
          sum += PerceptualWeights.all[place] * norm
          place += 1
        }
      }
    }
    sum *= 0.9562382616834844
    let bent = 2.326765642916932 * sum - 0.020884521182843837 * sum * sum + 6.248496625763138e-05 * sum * sum * sum
    return bent <= 0 ? 100 : 100 - 10 * pow(bent, 0.6276336467831387)
  }
}
