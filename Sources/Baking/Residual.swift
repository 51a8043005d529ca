import Tensors

/// Where stored weights differ from a prediction of them, and by how many steps of their format.
///
/// Two streams of variable-length numbers: how many weights agree before the next that does not, and the difference of
/// the two codes. Apart from each other they compress best.
struct ResidualEncoder {
  private(set) var gaps: [UInt8] = []
  private(set) var values: [UInt8] = []
  private(set) var count = 0
  private var agreeing = 0

  /// Compares `count` codes of `width` bytes each.
  mutating func append(_ stored: UnsafeRawPointer, predicted: UnsafeRawPointer, count: Int, width: Int) {
    switch width {
    case 1: compare(stored, predicted, count, as: UInt8.self)
    case 2: compare(stored, predicted, count, as: UInt16.self)
    default: compare(stored, predicted, count, as: UInt32.self)
    }
  }

  /// Compares the places of `count` codes of a grid.
  mutating func append(places: UnsafePointer<UInt8>, predicted: UnsafePointer<UInt8>, count: Int) {
    compare(count) { (Int64(places[$0]), Int64(predicted[$0])) }
  }

  private mutating func compare<Code: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ stored: UnsafeRawPointer, _ predicted: UnsafeRawPointer, _ count: Int, as type: Code.Type
  ) {
    let a = stored.assumingMemoryBound(to: type), b = predicted.assumingMemoryBound(to: type)
    compare(count) { (a[$0].ordered, b[$0].ordered) }
  }

  /// Appends the differences of `count` pairs of a stored place and a predicted one.
  @inline(__always) private mutating func compare(_ count: Int, _ pair: (Int) -> (Int64, Int64)) {
    for i in 0..<count {
      let (stored, predicted) = pair(i)
      guard stored != predicted else {
        agreeing += 1
        continue
      }
      gaps.append(number: UInt64(agreeing))
      let difference = stored - predicted
      values.append(number: UInt64(bitPattern: (difference << 1) ^ (difference >> 63)))
      agreeing = 0
      self.count += 1
    }
  }
}

/// The inverse of `ResidualEncoder`: turns predictions into what was stored.
struct ResidualDecoder {
  private var gaps: VariableLengthReader
  private var values: VariableLengthReader
  /// Predictions to leave alone before the next difference; `nil` after the last.
  private var agreeing: Int?

  init(gaps: [UInt8], values: [UInt8]) {
    self.gaps = VariableLengthReader(bytes: gaps)
    self.values = VariableLengthReader(bytes: values)
    agreeing = self.gaps.next().flatMap { Int(exactly: $0) }
  }

  /// Corrects `count` codes of `width` bytes each in place. The codes must come in the encoder's order.
  mutating func correct(_ codes: UnsafeMutableRawPointer, count: Int, width: Int) {
    switch width {
    case 1: correct(codes, count, as: UInt8.self)
    case 2: correct(codes, count, as: UInt16.self)
    default: correct(codes, count, as: UInt32.self)
    }
  }

  /// Corrects the places of `count` codes of a grid.
  mutating func correct(places: UnsafeMutablePointer<UInt8>, count: Int) {
    correct(count) { places[$0] = UInt8(truncatingIfNeeded: Int64(places[$0]) &+ $1) }
  }

  private mutating func correct<Code: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ codes: UnsafeMutableRawPointer, _ count: Int, as type: Code.Type
  ) {
    let codes = codes.assumingMemoryBound(to: type)
    correct(count) { codes[$0] = Code(ordered: codes[$0].ordered &+ $1) }
  }

  /// Calls `body` with each of the next `count` predictions that is off, and by how many steps.
  private mutating func correct(_ count: Int, _ body: (Int, Int64) -> Void) {
    var place = 0
    while let gap = agreeing {
      guard gap < count - place else {
        agreeing = gap - (count - place)
        return
      }
      place += gap
      let zigzag = values.next() ?? 0
      body(place, Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1))
      place += 1
      agreeing = gaps.next().flatMap { Int(exactly: $0) }
    }
  }
}

/// Numbers of seven bits to a byte, the lowest first; the highest bit says that more follow.
private struct VariableLengthReader {
  let bytes: [UInt8]
  private var place = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func next() -> UInt64? {
    var result: UInt64 = 0, shift: UInt64 = 0
    while place < bytes.count, shift < 64 {
      let byte = bytes[place]
      place += 1
      result |= UInt64(byte & 0x7f) << shift
      guard byte & 0x80 != 0 else { return result }
      shift += 7
    }
    return nil
  }
}

extension [UInt8] {
  fileprivate mutating func append(number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }
}

extension FixedWidthInteger where Self: UnsignedInteger {
  /// The place of a code of sign and magnitude in the order of the numbers that codes stand for; −0 is below +0.
  fileprivate var ordered: Int64 {
    let sign = Self(1) << (Self.bitWidth - 1)
    return self & sign == 0 ? Int64(self) : -Int64(self ^ sign) - 1
  }

  fileprivate init(ordered place: Int64) {
    let sign = Self(1) << (Self.bitWidth - 1)
    self = place >= 0 ? Self(truncatingIfNeeded: place) : Self(truncatingIfNeeded: -(place + 1)) | sign
  }
}
