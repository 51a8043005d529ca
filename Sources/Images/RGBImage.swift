/// A picture: rows from the top, pixels from the left, three bytes each. What the bytes mean as light is not said; the
/// models and their users take them for sRGB.
public struct RGBImage: Equatable, Sendable {
  /// The most pixels of a picture that is read, written or drawn: 134 million, 403 MB.
  public static let maximumPixels = 1 << 27

  /// Pixels of a row; at least 1.
  public let width: Int
  /// Rows of pixels; at least 1.
  public let height: Int
  /// width · height · 3 bytes: red, green, blue of the first pixel of the first row, and so on.
  public private(set) var bytes: [UInt8]

  /// - Parameter bytes: width · height · 3 of them.
  public init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(width > 0 && height > 0, "a picture has at least one pixel")
    precondition(bytes.count == 3 * width * height, "the bytes do not fit the size")
    (self.width, self.height, self.bytes) = (width, height, bytes)
  }

  /// A picture of one colour.
  public init(width: Int, height: Int, filledWith color: RGBColor) {
    precondition(width > 0 && height > 0, "a picture has at least one pixel")
    let bytes = [UInt8](unsafeUninitializedCapacity: 3 * width * height) { target, count in
      for pixel in 0..<width * height { color.write(to: target, at: 3 * pixel) }
      count = 3 * width * height
    }
    self.init(width: width, height: height, bytes: bytes)
  }

  /// `width`x`height`, as sizes are written.
  public var sizeText: String { "\(width)x\(height)" }

  /// The whole picture.
  public var bounds: PixelRectangle { PixelRectangle(x: 0, y: 0, width: width, height: height) }

  /// The pixel in column `x` of row `y`, both from 0.
  public subscript(x: Int, y: Int) -> RGBColor {
    get {
      let start = offset(x, y)
      return RGBColor(red: bytes[start], green: bytes[start + 1], blue: bytes[start + 2])
    }
    set {
      let start = offset(x, y)
      bytes.withUnsafeMutableBufferPointer { newValue.write(to: $0, at: start) }
    }
  }

  private func offset(_ x: Int, _ y: Int) -> Int {
    precondition(x >= 0 && x < width && y >= 0 && y < height, "the pixel lies outside the picture")
    return 3 * (y * width + x)
  }

  /// The part of the picture in `rectangle`, which must lie inside it.
  public func cropped(to rectangle: PixelRectangle) -> RGBImage {
    precondition(bounds.contains(rectangle), "the rectangle lies outside the picture")
    var result: [UInt8] = []
    result.reserveCapacity(3 * rectangle.width * rectangle.height)
    for row in rectangle.y..<rectangle.y + rectangle.height {
      let start = 3 * (row * width + rectangle.x)
      result += bytes[start..<start + 3 * rectangle.width]
    }
    return RGBImage(width: rectangle.width, height: rectangle.height, bytes: result)
  }

  /// Puts `other` over this picture with its upper left corner at (`x`, `y`). What would lie outside is left out.
  public mutating func paste(_ other: RGBImage, x: Int, y: Int) {
    let visible = PixelRectangle(x: x, y: y, width: other.width, height: other.height).intersection(bounds)
    guard let visible else { return }
    let width = width
    bytes.withUnsafeMutableBufferPointer { target in
      other.bytes.withUnsafeBufferPointer { source in
        for row in visible.y..<visible.y + visible.height {
          let from = 3 * ((row - y) * other.width + visible.x - x)
          (target.baseAddress! + 3 * (row * width + visible.x)).update(
            from: source.baseAddress! + from, count: 3 * visible.width)
        }
      }
    }
  }

  /// This picture with `other` over it; see `paste`.
  public func pasted(_ other: RGBImage, x: Int, y: Int) -> RGBImage {
    var result = self
    result.paste(other, x: x, y: y)
    return result
  }

  /// Fills a rectangle with one colour. What of it lies outside the picture is left out.
  public mutating func fill(_ rectangle: PixelRectangle, with color: RGBColor) {
    guard let visible = rectangle.intersection(bounds) else { return }
    let width = width
    bytes.withUnsafeMutableBufferPointer { target in
      for row in visible.y..<visible.y + visible.height {
        for column in visible.x..<visible.x + visible.width { color.write(to: target, at: 3 * (row * width + column)) }
      }
    }
  }
}

/// A colour of a pixel.
public struct RGBColor: Hashable, Sendable {
  /// Red's level: 0 for none of it, 255 for all.
  public var red: UInt8
  /// Green's level: 0 for none of it, 255 for all.
  public var green: UInt8
  /// Blue's level: 0 for none of it, 255 for all.
  public var blue: UInt8

  /// Levels of 0 to 255.
  public init(red: UInt8, green: UInt8, blue: UInt8) { (self.red, self.green, self.blue) = (red, green, blue) }

  /// All three levels alike.
  public init(gray: UInt8) { self.init(red: gray, green: gray, blue: gray) }

  /// All levels at 255, which transparent pixels are laid over.
  public static let white = RGBColor(gray: 255)
  /// All levels at 0.
  public static let black = RGBColor(gray: 0)

  func write(to target: UnsafeMutableBufferPointer<UInt8>, at offset: Int) {
    target[offset] = red
    target[offset + 1] = green
    target[offset + 2] = blue
  }
}

/// A rectangle of whole pixels: columns `x` ..< `x` + `width`, rows `y` ..< `y` + `height`.
public struct PixelRectangle: Hashable, Sendable {
  /// The first column, counted from 0 at the left.
  public var x: Int
  /// The first row, counted from 0 at the top.
  public var y: Int
  /// Columns; there are none where it is 0.
  public var width: Int
  /// Rows; there are none where it is 0.
  public var height: Int

  /// It need not lie inside a picture.
  public init(x: Int, y: Int, width: Int, height: Int) {
    (self.x, self.y, self.width, self.height) = (x, y, width, height)
  }

  /// Whether `other` has a pixel and all of its pixels lie in this rectangle.
  public func contains(_ other: PixelRectangle) -> Bool { other.intersection(self) == other }

  /// The pixels that both have, or `nil` where there are none.
  public func intersection(_ other: PixelRectangle) -> PixelRectangle? {
    let (left, top) = (max(x, other.x), max(y, other.y))
    let (right, bottom) = (min(x + width, other.x + other.width), min(y + height, other.y + other.height))
    guard left < right, top < bottom else { return nil }
    return PixelRectangle(x: left, y: top, width: right - left, height: bottom - top)
  }
}
