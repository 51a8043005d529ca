import Images
import TestSupport
import Testing

@Suite struct ResamplingTests {
  @Test("a resized picture has the levels of Pillow's, to the last one")
  func pillow() throws {
    let golden = ImagesGolden.shared.resized
    let source = RGBImage(width: golden.width, height: golden.height, bytes: Array(golden.rgb))
    try #require(golden.results.count == 13)
    for expected in golden.results {
      let found = source.resized(width: expected.width, height: expected.height)
      #expect(found.width == expected.width && found.height == expected.height)
      let isEqual = found.bytes == Array(expected.rgb)
      #expect(isEqual, "\(found.sizeText)")
    }
  }

  @Test("one colour stays one colour")
  func constant() {
    let color = RGBColor(red: 255, green: 0, blue: 131)
    let image = RGBImage(width: 17, height: 40, filledWith: color)
    for (width, height) in [(3, 2), (400, 7), (18, 39)] {
      #expect(image.resized(width: width, height: height) == RGBImage(width: width, height: height, filledWith: color))
    }
  }

  @Test(
    "the middle is cut out in the asked proportions",
    arguments: [
      (10, 6, 1, 1, PixelRectangle(x: 2, y: 0, width: 6, height: 6)),
      (6, 11, 1, 1, PixelRectangle(x: 0, y: 2, width: 6, height: 6)),
      (10, 6, 5, 3, PixelRectangle(x: 0, y: 0, width: 10, height: 6)),
      (100, 100, 1024, 576, PixelRectangle(x: 0, y: 22, width: 100, height: 56)),
      (3, 50, 100, 1, PixelRectangle(x: 0, y: 24, width: 3, height: 1)),
      (50, 3, 1, 100, PixelRectangle(x: 24, y: 0, width: 1, height: 3)),
    ])
  func cropping(width: Int, height: Int, aspectWidth: Int, aspectHeight: Int, part: PixelRectangle) {
    let image = picture(width: width, height: height, seed: 6)
    #expect(image.centerCropped(toAspect: aspectWidth, aspectHeight) == image.cropped(to: part))
  }

  @Test("a picture fills another size, and thumbnails keep the proportions")
  func sizes() {
    let image = picture(width: 60, height: 33, seed: 7)
    let part = PixelRectangle(x: 13, y: 0, width: 33, height: 33)
    #expect(image.filling(width: 16, height: 16) == image.cropped(to: part).resized(width: 16, height: 16))
    #expect(image.thumbnail(side: 20).sizeText == "20x11")
    #expect(image.thumbnail(side: 60) == image)
    #expect(picture(width: 2, height: 500, seed: 8).thumbnail(side: 50).sizeText == "1x50")
  }
}
