import Images
import TestSupport
import Testing

@Suite struct RGBImageTests {
  private let image = picture(width: 9, height: 7, seed: 1)

  @Test("pixels are read and written where they lie")
  func pixels() {
    var image = RGBImage(width: 2, height: 2, bytes: Array(0..<12))
    #expect(image[1, 0] == RGBColor(red: 3, green: 4, blue: 5))
    #expect(image[0, 1] == RGBColor(red: 6, green: 7, blue: 8))
    let copy = image
    image[1, 1] = .white
    #expect(image.bytes == [0, 1, 2, 3, 4, 5, 6, 7, 8, 255, 255, 255])
    #expect(copy[1, 1] == RGBColor(red: 9, green: 10, blue: 11))
    #expect(image.sizeText == "2x2")
  }

  @Test("a part holds the pixels of its place")
  func cropping() {
    let part = image.cropped(to: PixelRectangle(x: 2, y: 3, width: 4, height: 2))
    #expect(part.width == 4 && part.height == 2)
    for y in 0..<2 { for x in 0..<4 { #expect(part[x, y] == image[x + 2, y + 3]) } }
    #expect(image.cropped(to: image.bounds) == image)
  }

  @Test(
    "a picture put over another covers what it meets, also over the edges",
    arguments: [(1, 2), (-2, -1), (7, 5), (0, 0), (20, 0), (-9, 3), (-3, 6)])
  func pasting(x: Int, y: Int) {
    let other = picture(width: 5, height: 4, seed: 2)
    let result = image.pasted(other, x: x, y: y)
    for row in 0..<image.height {
      for column in 0..<image.width {
        let isCovered = (0..<5).contains(column - x) && (0..<4).contains(row - y)
        #expect(result[column, row] == (isCovered ? other[column - x, row - y] : image[column, row]))
      }
    }
  }

  @Test("a rectangle is filled as far as it lies inside")
  func filling() {
    var result = image
    result.fill(PixelRectangle(x: 6, y: -1, width: 9, height: 3), with: RGBColor(red: 1, green: 2, blue: 3))
    for row in 0..<image.height {
      for column in 0..<image.width {
        let expected = column >= 6 && row < 2 ? RGBColor(red: 1, green: 2, blue: 3) : image[column, row]
        #expect(result[column, row] == expected)
      }
    }
    result.fill(PixelRectangle(x: 50, y: 0, width: 1, height: 1), with: .black)
    #expect(RGBImage(width: 3, height: 2, filledWith: .white).bytes == Array(repeating: 255, count: 18))
  }

  @Test("rectangles meet and contain each other")
  func rectangles() {
    let whole = PixelRectangle(x: 0, y: 0, width: 4, height: 4)
    #expect(whole.contains(PixelRectangle(x: 1, y: 2, width: 3, height: 2)))
    #expect(!whole.contains(PixelRectangle(x: 1, y: 2, width: 4, height: 2)))
    #expect(!whole.contains(PixelRectangle(x: 1, y: 2, width: 0, height: 2)))
    #expect(whole.intersection(PixelRectangle(x: 4, y: 0, width: 1, height: 1)) == nil)
    #expect(
      whole.intersection(PixelRectangle(x: -1, y: 3, width: 3, height: 9))
        == PixelRectangle(x: 0, y: 3, width: 2, height: 1))
  }

  @Test("numbers become the levels that diffusers gives them, on every rounding boundary")
  func levels() throws {
    let golden = ImagesGolden.shared.floats
    let numbers = floats(golden.numbers)
    try #require(numbers.count == golden.count && golden.count > 1000)
    let planar = try RGBImage(values: numbers, order: .planar, width: golden.count / 3, height: 1)
    let expected = Array(golden.levels)
    for (index, number) in numbers.enumerated() {
      let found = planar.bytes[index % (golden.count / 3) * 3 + index / (golden.count / 3)]
      #expect(found == expected[index], "\(number)")
    }
    let interleaved = try RGBImage(values: numbers, order: .interleaved, width: 1, height: golden.count / 3)
    #expect(interleaved.bytes == expected)
  }

  @Test("levels become diffusers' numbers, and come back the same")
  func numbers() throws {
    let expected = floats(ImagesGolden.shared.floats.back)
    let ramp = RGBImage(width: 256, height: 1, bytes: (0..<768).map { UInt8($0 / 3) })
    let values = ramp.values(in: .interleaved)
    for level in 0...255 { #expect(values[3 * level + 1] == expected[level]) }
    for order in [PixelOrder.planar, .interleaved] {
      #expect(try RGBImage(values: image.values(in: order), order: order, width: 9, height: 7) == image)
    }
    let planar = image.values(in: .planar)
    #expect(planar[2 * 63 + 4 * 9 + 5] == image.values(in: .interleaved)[3 * (4 * 9 + 5) + 2])
  }

  @Test("a NaN is an error that says how many there are")
  func notANumber() {
    var values = image.values(in: .planar)
    (values[0], values[100], values[188]) = (.nan, -.nan, .signalingNaN)
    let error = #expect(throws: ImageError.self) {
      try RGBImage(values: values, order: .planar, width: 9, height: 7)
    }
    #expect(error?.kind == .notANumber(count: 3, total: 189))
    #expect(error?.description == "pixels: expected numbers, found 3 NaN among 189 values")
  }
}
