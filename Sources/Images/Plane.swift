/// One number for each pixel: rows from the top, pixels from the left.
struct Plane<Number: BinaryFloatingPoint> {
  let width: Int
  let height: Int
  let values: [Number]

  init(width: Int, height: Int, values: [Number]) {
    precondition(values.count == width * height, "the values do not fit the size")
    (self.width, self.height, self.values) = (width, height, values)
  }

  /// A number for each pixel of a picture, from its red, green and blue.
  init(_ image: RGBImage, number: (UInt8, UInt8, UInt8) -> Number) {
    let values = image.bytes.withUnsafeBufferPointer { bytes in
      [Number](unsafeUninitializedCapacity: bytes.count / 3) { target, count in
        count = bytes.count / 3
        for pixel in 0..<count {
          target[pixel] = number(bytes[3 * pixel], bytes[3 * pixel + 1], bytes[3 * pixel + 2])
        }
      }
    }
    self.init(width: image.width, height: image.height, values: values)
  }

  /// Half as wide and half as high: the means of 2x2 numbers. Where a side is odd, its last row or column counts twice.
  func halved() -> Plane {
    let (columns, rows) = ((width + 1) / 2, (height + 1) / 2)
    let means = values.withUnsafeBufferPointer { source in
      [Number](unsafeUninitializedCapacity: columns * rows) { target, count in
        count = columns * rows
        for row in 0..<rows {
          let (upper, lower) = (2 * row * width, min(2 * row + 1, height - 1) * width)
          for column in 0..<columns {
            let (left, right) = (2 * column, min(2 * column + 1, width - 1))
            let sum = source[upper + left] + source[upper + right] + source[lower + left] + source[lower + right]
            target[row * columns + column] = sum / 4
          }
        }
      }
    }
    return Plane(width: columns, height: rows, values: means)
  }
}
