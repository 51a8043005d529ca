/// How numbers are kept: in 32 bits, or in the upper 16 of them.
public enum NumberFormat: Sendable {
  case f32, bf16

  var size: Int { self == .f32 ? 4 : 2 }
}

/// A batch of maps of features: batch × height × width × channels numbers, the channels of a pixel side by side (NHWC).
///
/// Tokens are maps of height 1. Copies share their memory; only kernels that own it alone write into it.
public struct FeatureMap {
  /// Samples that are computed together.
  public let batch: Int
  /// Rows of pixels; 1 for tokens.
  public let height: Int
  /// Pixels of a row; for tokens, how many there are.
  public let width: Int
  /// Numbers of a pixel.
  public let channels: Int
  /// How each number is stored: 32 bits, or the 16 that products may read.
  public let format: NumberFormat
  /// Numbers from a pixel to the next: `channels`, or more where this is a part of a wider map's channels.
  let pitch: Int
  /// Where the first number stands, counted in numbers.
  let offset: Int
  private(set) var memory: MapMemory

  init(
    batch: Int, height: Int, width: Int, channels: Int, format: NumberFormat = .f32, pool: any MemoryPool
  ) {
    self.batch = batch
    self.height = height
    self.width = width
    self.channels = channels
    self.format = format
    pitch = channels
    offset = 0
    memory = pool.memory(of: batch * height * width * channels * format.size)
  }

  private init(_ whole: FeatureMap, channels: Range<Int>) {
    precondition(channels.lowerBound >= 0 && channels.upperBound <= whole.channels, "channels outside the map")
    batch = whole.batch
    height = whole.height
    width = whole.width
    self.channels = channels.count
    format = whole.format
    pitch = whole.pitch
    offset = whole.offset + channels.lowerBound
    memory = whole.memory
  }

  /// Rows of `channels` in the front of a map's memory.
  private init(_ whole: FeatureMap, batch: Int, size: MapSize, channels: Int, offset: Int = 0) {
    whole.requireWhole()
    precondition(channels <= whole.channels, "more channels than the memory was made for")
    self.batch = batch
    height = size.height
    width = size.width
    self.channels = channels
    format = whole.format
    pitch = channels
    self.offset = whole.offset + offset
    memory = whole.memory
  }

  /// A view of some rows (pixels of the whole batch), as a map of height 1.
  subscript(rows rows: Range<Int>) -> FeatureMap {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows outside the map")
    return FeatureMap(
      self, batch: 1, size: MapSize(height: 1, width: rows.count), channels: channels,
      offset: rows.lowerBound * channels)
  }

  /// A map of the same extents with fewer channels, which lies in the front of the same memory.
  func narrowed(to channels: Int) -> FeatureMap { FeatureMap(self, batch: batch, size: size, channels: channels) }

  /// A view of some of the channels.
  public subscript(channels channels: Range<Int>) -> FeatureMap { FeatureMap(self, channels: channels) }

  /// Height and width, the same for all maps of the batch.
  public var size: MapSize { MapSize(height: height, width: width) }
  /// Pixels of one map, of all rows.
  public var pixels: Int { height * width }
  /// Pixels of all maps of the batch.
  public var rows: Int { batch * pixels }
  /// Numbers of the whole batch, without those of a wider map that lie between.
  public var count: Int { rows * channels }
  var isDense: Bool { pitch == channels }

  /// Most kernels walk over all of a map's memory.
  func requireWhole() { precondition(isDense, "a part of a map's channels, which only attention takes") }

  /// Whether nobody else can see this map's memory.
  mutating func isAlone() -> Bool { isKnownUniquelyReferenced(&memory) }

  /// A map of the same extents, or some others, with arbitrary contents.
  func similar(channels: Int? = nil, size: MapSize? = nil, format: NumberFormat? = nil, pool: any MemoryPool)
    -> FeatureMap
  {
    FeatureMap(
      batch: batch, height: size?.height ?? height, width: size?.width ?? width, channels: channels ?? self.channels,
      format: format ?? self.format, pool: pool)
  }
}

extension FeatureMap {
  /// A map of `values`, which are in the order batch, height, width, channels.
  public init(_ values: [Float], batch: Int, height: Int, width: Int, channels: Int, pool: any MemoryPool) {
    self.init(batch: batch, height: height, width: width, channels: channels, pool: pool)
    precondition(values.count == count, "\(values.count) values for a map of \(count)")
    values.withUnsafeBytes { memory.write($0, at: 0) }
  }

  /// A map of `values`, which are in the order batch, channels, height, width (NCHW).
  public init(planar values: [Float], batch: Int, channels: Int, height: Int, width: Int, pool: any MemoryPool) {
    let pixels = height * width, count = batch * pixels * channels
    precondition(values.count == count, "\(values.count) values for a map of \(count)")
    let interleaved = [Float](unsafeUninitializedCapacity: count) { interleaved, initialized in
      for n in 0..<batch {
        for c in 0..<channels {
          let plane = (n * channels + c) * pixels
          for i in 0..<pixels {
            interleaved.initializeElement(at: (n * pixels + i) * channels + c, to: values[plane + i])
          }
        }
      }
      initialized = count
    }
    self.init(interleaved, batch: batch, height: height, width: width, channels: channels, pool: pool)
  }

  /// All numbers in the order batch, height, width, channels.
  public var values: [Float] {
    if isDense, format == .f32 { return numbers(count, at: offset) }
    return (0..<rows).flatMap { row -> [Float] in
      let place = offset + row * pitch
      switch format {
      case .f32: return numbers(channels, at: place)
      case .bf16:
        let halves: [UInt16] = numbers(channels, at: place)
        return halves.map { Float(bitPattern: UInt32($0) << 16) }
      }
    }
  }

  /// So many numbers as they are stored, from a place that is counted in numbers.
  private func numbers<Number>(_ count: Int, at place: Int) -> [Number] {
    [Number](unsafeUninitializedCapacity: count) { numbers, initialized in
      memory.read(into: UnsafeMutableRawBufferPointer(numbers), at: place * format.size)
      initialized = count
    }
  }

  /// All numbers in the order batch, channels, height, width (NCHW).
  public var planarValues: [Float] {
    let values = values
    return [Float](unsafeUninitializedCapacity: count) { planar, initialized in
      for n in 0..<batch {
        for c in 0..<channels {
          for i in 0..<pixels {
            planar.initializeElement(at: (n * channels + c) * pixels + i, to: values[(n * pixels + i) * channels + c])
          }
        }
      }
      initialized = count
    }
  }

  /// The map of `body`'s results.
  public func mapped(pool: any MemoryPool, _ body: (Float) -> Float) -> FeatureMap {
    requireWhole()
    precondition(format == .f32, "a map of 16-bit numbers where 32 bits are needed")
    return FeatureMap(
      values.map(body), batch: batch, height: height, width: width, channels: channels, pool: pool)
  }

  /// Takes over the numbers of a map that is like this one.
  func take(_ other: FeatureMap) {
    precondition(other.count == count && other.format == format, "a map of other extents")
    requireWhole()
    other.requireWhole()
    memory.copy(
      count * format.size, from: other.memory, at: other.offset * format.size, to: offset * format.size)
  }

  /// Some rows (pixels of the whole batch), copied to be a batch of maps of one pixel each.
  public func picked(rows: some Collection<Int>, pool: any MemoryPool) -> FeatureMap {
    requireWhole()
    let part = FeatureMap(batch: rows.count, height: 1, width: 1, channels: channels, format: format, pool: pool)
    let size = channels * format.size
    for (place, row) in rows.enumerated() {
      part.memory.copy(size, from: memory, at: offset * format.size + row * size, to: place * size)
    }
    return part
  }

  /// Each sample's pixels, followed by those of the same sample of another map, as tokens: a map of height 1.
  public func followed(by other: FeatureMap, pool: any MemoryPool) -> FeatureMap {
    precondition(
      other.batch == batch && other.channels == channels && other.format == format, "maps of other tokens")
    let joined = FeatureMap(
      batch: batch, height: 1, width: pixels + other.pixels, channels: channels, format: format, pool: pool)
    for sample in 0..<batch {
      joined.copyPixels(pixels, of: self, from: sample * pixels, to: sample * joined.pixels)
      joined.copyPixels(other.pixels, of: other, from: sample * other.pixels, to: sample * joined.pixels + pixels)
    }
    return joined
  }

  /// Some pixels of each sample, copied, as tokens: a map of height 1.
  public func tokens(_ range: Range<Int>, pool: any MemoryPool) -> FeatureMap {
    precondition(range.lowerBound >= 0 && range.upperBound <= pixels, "tokens outside the map")
    let part = FeatureMap(batch: batch, height: 1, width: range.count, channels: channels, format: format, pool: pool)
    for sample in 0..<batch {
      part.copyPixels(
        range.count, of: self, from: sample * pixels + range.lowerBound, to: sample * range.count)
    }
    return part
  }

  private func copyPixels(_ count: Int, of other: FeatureMap, from source: Int, to target: Int) {
    requireWhole()
    other.requireWhole()
    let size = channels * format.size
    memory.copy(
      count * size, from: other.memory, at: other.offset * format.size + source * size,
      to: offset * format.size + target * size)
  }
}
