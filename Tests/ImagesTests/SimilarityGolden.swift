import FoundationEssentials
import Images
import TestSupport
import Testing

/// `Tests/Goldens/images/similarity.json`; its `similarity.py` explains every field.
struct SimilarityGolden: Decodable, Sendable {
  let taps: [Double]
  let pairs: [Pair]

  struct Pair: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let originalFile: String
    let otherFile: String
    let multiScaleCount: Int
    let multiScale: Double
    let perceptualCount: Int
    let perceptual: Double
    let published: Double?
    let publishedWithin: Double?

    enum CodingKeys: String, CodingKey {
      case name, perceptual, published
      case originalFile = "original"
      case otherFile = "other"
      case multiScaleCount = "multi_scale_count"
      case multiScale = "multi_scale"
      case perceptualCount = "perceptual_count"
      case publishedWithin = "published_within"
    }

    var testDescription: String { name }
    var original: RGBImage { get throws { try Self.picture(originalFile) } }
    var other: RGBImage { get throws { try Self.picture(otherFile) } }

    private static func picture(_ file: String) throws -> RGBImage {
      try PNGPicture(path: Goldens.path("images/similarity/\(file)")).image
    }
  }

  static let shared: SimilarityGolden = {
    do { return try JSONDecoder().decode(SimilarityGolden.self, from: Goldens.data("images/similarity.json")) } catch {
      fatalError("Tests/Goldens/images/similarity.json: \(error)")
    }
  }()
}
