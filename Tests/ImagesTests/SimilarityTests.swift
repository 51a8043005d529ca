import TestSupport
import Testing

@testable import Images

@Suite struct SimilarityTests {
  @Test("MS-SSIM is that of sums over windows in double precision", arguments: SimilarityGolden.shared.pairs)
  func multiScale(pair: SimilarityGolden.Pair) throws {
    let (a, b) = try (pair.original, pair.other)
    let (scales, found) = try (MultiScaleSimilarity.scales(a, b), ImageComparison(a, b))
    #expect(scales.count == pair.multiScaleCount)
    #expect(abs(found.multiScaleSimilarity - pair.multiScale) <= 1e-10)
    #expect(try ImageComparison(b, a).multiScaleSimilarity == found.multiScaleSimilarity)
    if scales.count == 1 { #expect(found.multiScaleSimilarity == found.structuralSimilarity) }
  }

  @Test("SSIMULACRA2 is that of its formula in double precision", arguments: SimilarityGolden.shared.pairs)
  func perceptual(pair: SimilarityGolden.Pair) throws {
    let (a, b) = try (pair.original, pair.other)
    #expect(PerceptualScore.scales(original: a, other: b).count == pair.perceptualCount)
    #expect(try abs(ImageComparison(a, b).perceptualScore - pair.perceptual) <= 1e-3)
  }

  @Test(
    "SSIMULACRA2 is within 0.005 of what its original program gives, and of flat pictures within 2",
    arguments: SimilarityGolden.shared.pairs.filter { $0.published != nil })
  func published(pair: SimilarityGolden.Pair) throws {
    let (expected, tolerance) = try (#require(pair.published), #require(pair.publishedWithin))
    #expect(try abs(ImageComparison(pair.original, pair.other).perceptualScore - expected) <= tolerance)
  }

  @Test("no pair is missing, and every number of scales is there")
  func allPairs() {
    let pairs = SimilarityGolden.shared.pairs
    #expect(pairs.count == 40)
    #expect(pairs.compactMap(\.published).count == 22)
    #expect(Set(pairs.map(\.multiScaleCount)) == [1, 2, 3, 4, 5])
    #expect(Set(pairs.map(\.perceptualCount)) == [2, 3, 4, 5, 6])
  }

  @Test("equal pictures have the greatest values, exactly", arguments: [(11, 11), (16, 16), (131, 97), (200, 176)])
  func equal(width: Int, height: Int) throws {
    let image = picture(width: width, height: height, seed: 3)
    let found = try ImageComparison(image, image)
    #expect(found.multiScaleSimilarity == 1 && found.perceptualScore == 100)
  }

  @Test("one level in one channel of one pixel is seen by both")
  func leastDifference() throws {
    let image = picture(width: 64, height: 48, seed: 4)
    var other = image
    other[40, 20].green ^= 1
    let found = try ImageComparison(image, other)
    #expect(found.multiScaleSimilarity < 1 && found.multiScaleSimilarity > 0.999_99)
    #expect(found.perceptualScore < 100 && found.perceptualScore > 95)
  }

  @Test("turned by a quarter, pictures keep their values")
  func turned() throws {
    func turn(_ image: RGBImage) -> RGBImage {
      var result = RGBImage(width: image.height, height: image.width, filledWith: .black)
      for y in 0..<image.height { for x in 0..<image.width { result[y, x] = image[x, y] } }
      return result
    }
    let (a, b) = (picture(width: 61, height: 90, seed: 5), picture(width: 61, height: 90, seed: 6))
    let (found, other) = try (ImageComparison(a, b), ImageComparison(turn(a), turn(b)))
    #expect(abs(found.multiScaleSimilarity - other.multiScaleSimilarity) <= 1e-12)
    #expect(abs(found.perceptualScore - other.perceptualScore) <= 1e-4)
  }

  @Test("the window of the blur is what the original's recursion answers to a single 1")
  func taps() {
    let expected = SimilarityGolden.shared.taps
    #expect(expected.count == PerceptualBlur.taps.count)
    for (found, expected) in zip(PerceptualBlur.taps, expected) { #expect(abs(found - expected) <= 1e-14) }
  }
}
