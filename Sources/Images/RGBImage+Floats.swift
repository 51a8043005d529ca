/// How the numbers of a picture lie in memory.
public enum PixelOrder: Sendable {
  /// All red values, then all green, then all blue: shape [3, height, width], as networks have it.
  case planar
  /// Red, green, blue of each pixel: shape [height, width, 3].
  case interleaved
}

extension RGBImage {
  /// The picture that a decoder's output in [-1, 1] means: clamp(x · 0.5 + 0.5, 0, 1) · 255, halves to the even
  /// neighbour, as diffusers' `VaeImageProcessor` does.
  ///
  /// - Parameter values: 3 · width · height of them; infinities are clamped.
  /// - Throws: `ImageError.notANumber`, never a black pixel, when there is a NaN.
  public init(
    values: UnsafeBufferPointer<Float>, order: PixelOrder, width: Int, height: Int
  ) throws(ImageError) {
    precondition(width > 0 && height > 0, "a picture has at least one pixel")
    precondition(values.count == 3 * width * height, "the values do not fit the size")
    let pixels = width * height
    let (pixelStride, channelStride) = order == .planar ? (1, pixels) : (3, 1)
    var faults = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: 3 * pixels) { target, count in
      for channel in 0..<3 {
        let source = values.baseAddress! + channel * channelStride
        let destination = target.baseAddress! + channel
        for pixel in 0..<pixels {
          let value = source[pixel * pixelStride]
          faults += value == value ? 0 : 1
          destination[3 * pixel] = Self.level(of: value)
        }
      }
      count = 3 * pixels
    }
    guard faults == 0 else { throw ImageError(.notANumber(count: faults, total: values.count)) }
    self.init(width: width, height: height, bytes: bytes)
  }

  /// The same from an array.
  ///
  /// - Throws: `ImageError.notANumber`.
  public init(values: [Float], order: PixelOrder, width: Int, height: Int) throws(ImageError) {
    self = try values.withUnsafeBufferPointer { buffer throws(ImageError) in
      try RGBImage(values: buffer, order: order, width: width, height: height)
    }
  }

  private static func level(of value: Float) -> UInt8 {
    let unit = value * 0.5 + 0.5
    // The order of comparisons turns NaN into 0, which the caller has counted.
    let clamped = unit > 0 ? (unit < 1 ? unit : 1) : 0
    // At 2²³ a Float has no fraction left: the addition rounds, halves to even, and leaves the level in the lowest bits.
    return UInt8(truncatingIfNeeded: (clamped * 255 + 0x1p23).bitPattern)
  }

  /// The picture as an encoder takes it: 2 · (level ÷ 255) - 1 in single precision.
  public func values(in order: PixelOrder) -> [Float] {
    let levels = (0...255).map { 2 * (Float($0) / 255) - 1 }
    let pixels = width * height
    let (pixelStride, channelStride) = order == .planar ? (1, pixels) : (3, 1)
    return [Float](unsafeUninitializedCapacity: 3 * pixels) { target, count in
      levels.withUnsafeBufferPointer { levels in
        bytes.withUnsafeBufferPointer { bytes in
          for channel in 0..<3 {
            let destination = target.baseAddress! + channel * channelStride
            for pixel in 0..<pixels { destination[pixel * pixelStride] = levels[Int(bytes[3 * pixel + channel])] }
          }
        }
      }
      count = 3 * pixels
    }
  }
}
