import Platform

/// The weights by which one axis of a picture is resampled: which old samples make each new one, and by how much.
///
/// The filter is Lanczos with three lobes, widened where the picture becomes smaller, as in Pillow's `Image.resize`. Weights
/// are whole numbers of 2⁻²², so that results are the same on every machine and Pillow's to the last bit.
struct LanczosWeights {
  static let fractionBits: Int32 = 22

  /// For each new sample, the first old sample that it is made of.
  private(set) var first: [Int] = []
  /// For each new sample, how many.
  private(set) var counts: [Int] = []
  /// For each new sample `stride` weights, of which the first `counts` are used.
  private(set) var weights: [Int32] = []
  let stride: Int

  init(from oldCount: Int, to newCount: Int) {
    precondition(oldCount > 0 && newCount > 0, "an axis has at least one sample")
    let ratio = Double(oldCount) / Double(newCount)
    let widening = max(ratio, 1)
    let support = 3 * widening
    stride = 2 * Int(support.rounded(.up)) + 1
    weights.reserveCapacity(stride * newCount)
    for place in 0..<newCount {
      let center = (Double(place) + 0.5) * ratio
      let start = max(0, Int(center - support + 0.5))
      let end = min(oldCount, Int(center + support + 0.5))
      let exact = (start..<end).map { Self.lanczos((Double($0) - center + 0.5) / widening) }
      let sum = exact.reduce(0, +)
      first.append(start)
      counts.append(end - start)
      for weight in exact {
        let scaled = weight / sum * Double(1 << Self.fractionBits)
        weights.append(Int32(scaled + (scaled < 0 ? -0.5 : 0.5)))
      }
      weights += repeatElement(0, count: stride - exact.count)
    }
  }

  /// sinc(x) · sinc(x ÷ 3) for |x| < 3.
  private static func lanczos(_ x: Double) -> Double { x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0 }

  private static func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(.pi * x) / (.pi * x) }
}

extension RGBImage {
  /// The picture in another size, resampled with Lanczos' filter of three lobes: one axis after the other, each step
  /// rounded to levels.
  ///
  /// Source: Duchon, "Lanczos filtering in one and two dimensions", 1979; the same levels as `resize` with `LANCZOS` of
  /// Pillow 13. Earlier versions always begin with the rows, which can change a level by one.
  public func resized(width newWidth: Int, height newHeight: Int) -> RGBImage {
    precondition(newWidth > 0 && newHeight > 0, "a picture has at least one pixel")
    let isColumnsFirst = newHeight < height && height - newHeight > 2 * (width - newWidth)
    let result = isColumnsFirst ? resized(height: newHeight) : self
    return result.resized(width: newWidth).resized(height: newHeight)
  }

  /// The largest part around the middle with the proportions of `width` to `height`. Where the rest is odd, one more row
  /// or column goes at the bottom or the right.
  public func centerCropped(toAspect aspectWidth: Int, _ aspectHeight: Int) -> RGBImage {
    precondition(aspectWidth > 0 && aspectHeight > 0, "proportions are positive")
    // width ÷ height against the aspect, both multiplied out.
    let isTooWide = width * aspectHeight > height * aspectWidth
    let partWidth = isTooWide ? max(1, (2 * height * aspectWidth + aspectHeight) / (2 * aspectHeight)) : width
    let partHeight = isTooWide ? height : max(1, (2 * width * aspectHeight + aspectWidth) / (2 * aspectWidth))
    return cropped(
      to: PixelRectangle(
        x: (width - partWidth) / 2, y: (height - partHeight) / 2, width: partWidth, height: partHeight))
  }

  /// The picture in exactly this size without a distortion: its middle, resampled.
  public func filling(width: Int, height: Int) -> RGBImage {
    centerCropped(toAspect: width, height).resized(width: width, height: height)
  }

  /// The picture with its longer side at most `side`, in its own proportions; itself where it is small enough.
  public func thumbnail(side: Int) -> RGBImage {
    precondition(side > 0, "a picture has at least one pixel")
    let longer = max(width, height)
    guard longer > side else { return self }
    func scaled(_ length: Int) -> Int { max(1, (2 * length * side + longer) / (2 * longer)) }
    return resized(width: scaled(width), height: scaled(height))
  }

  private func resized(width newWidth: Int) -> RGBImage {
    guard newWidth != width else { return self }
    let axis = LanczosWeights(from: width, to: newWidth)
    let data = [UInt8](unsafeUninitializedCapacity: 3 * newWidth * height) { target, count in
      bytes.withUnsafeBufferPointer { source in
        axis.weights.withUnsafeBufferPointer { weights in
          for row in 0..<height {
            for column in 0..<newWidth {
              var (red, green, blue) = (Self.half, Self.half, Self.half)
              var place = 3 * (row * width + axis.first[column])
              for index in column * axis.stride..<column * axis.stride + axis.counts[column] {
                let weight = weights[index]
                red &+= weight &* Int32(source[place])
                green &+= weight &* Int32(source[place + 1])
                blue &+= weight &* Int32(source[place + 2])
                place += 3
              }
              let start = 3 * (row * newWidth + column)
              target[start] = Self.level(red)
              target[start + 1] = Self.level(green)
              target[start + 2] = Self.level(blue)
            }
          }
        }
      }
      count = 3 * newWidth * height
    }
    return RGBImage(width: newWidth, height: height, bytes: data)
  }

  private func resized(height newHeight: Int) -> RGBImage {
    guard newHeight != height else { return self }
    let axis = LanczosWeights(from: height, to: newHeight)
    let rowLength = 3 * width
    var sums = [Int32](repeating: 0, count: rowLength)
    let data = [UInt8](unsafeUninitializedCapacity: rowLength * newHeight) { target, count in
      bytes.withUnsafeBufferPointer { source in
        sums.withUnsafeMutableBufferPointer { sums in
          for row in 0..<newHeight {
            sums.update(repeating: Self.half)
            for index in 0..<axis.counts[row] {
              let weight = axis.weights[row * axis.stride + index]
              let line = source.baseAddress! + (axis.first[row] + index) * rowLength
              for place in 0..<rowLength { sums[place] &+= weight &* Int32(line[place]) }
            }
            for place in 0..<rowLength { target[row * rowLength + place] = Self.level(sums[place]) }
          }
        }
      }
      count = rowLength * newHeight
    }
    return RGBImage(width: width, height: newHeight, bytes: data)
  }

  private static let half: Int32 = 1 << (LanczosWeights.fractionBits - 1)

  private static func level(_ sum: Int32) -> UInt8 { UInt8(clamping: sum >> LanczosWeights.fractionBits) }
}
