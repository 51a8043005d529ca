import Images
import TestSupport
import Testing

@Suite struct ImageComparisonTests {
  private static let golden = ImagesGolden.shared.comparisons
  private let base = RGBImage(width: golden.width, height: golden.height, bytes: Array(golden.rgb))

  @Test("the measures are those of sums in double precision", arguments: golden.cases)
  func measures(expected: ImagesGolden.Comparisons.Case) throws {
    let other = RGBImage(width: base.width, height: base.height, bytes: Array(expected.rgb))
    let found = try ImageComparison(base, other)
    #expect(abs(found.meanSquaredError - expected.mse) <= 1e-12 * expected.mse)
    #expect(abs(found.structuralSimilarity - expected.ssim) <= 1e-10)
    #expect(found.greatestDifference == expected.greatest)
    #expect(abs(found.differingShare - expected.differing) <= 1e-15)
    if let psnr = expected.psnr {
      #expect(abs(found.peakSignalToNoise - psnr) <= 1e-10)
    } else {
      #expect(found.peakSignalToNoise == .infinity && found.structuralSimilarity == 1)
    }
  }

  @Test("one window is enough, less is refused, and so are different sizes")
  func sizes() throws {
    let smallest = Self.golden.smallest
    let a = RGBImage(width: 11, height: 11, bytes: Array(smallest.a))
    let b = RGBImage(width: 11, height: 11, bytes: Array(smallest.b))
    #expect(try abs(ImageComparison(a, b).structuralSimilarity - smallest.ssim) <= 1e-10)
    let small = RGBImage(width: 30, height: 10, filledWith: .white)
    let tooSmall = #expect(throws: ImageError.self) { try ImageComparison(small, small) }
    #expect(tooSmall?.description == "size: expected at least 11x11, found 30x10")
    let different = #expect(throws: ImageError.self) { try ImageComparison(a, small) }
    #expect(different?.description == "size: expected 11x11, found 30x10")
    #expect(throws: ImageError.self) { try ImageComparison.heatMap(a, small) }
  }

  @Test("a difference picture is black where pictures agree and lighter the more they differ")
  func heatMap() throws {
    let black = RGBImage(width: 256, height: 1, filledWith: .black)
    let blue = RGBImage(width: 256, height: 1, bytes: (0..<768).map { $0 % 3 == 2 ? UInt8($0 / 3) : 0 })
    let map = try ImageComparison.heatMap(black, blue, full: 100)
    #expect(map[0, 0] == .black)
    let lightness = (0..<256).map {
      0.299 * Double(map[$0, 0].red) + 0.587 * Double(map[$0, 0].green) + 0.114 * Double(map[$0, 0].blue)
    }
    for level in 1...100 { #expect(lightness[level] > lightness[level - 1]) }
    for level in 100...255 { #expect(map[level, 0] == RGBColor(red: 252, green: 252, blue: 180)) }
    #expect(try ImageComparison.heatMap(blue, black, full: 100) == map)
  }
}
