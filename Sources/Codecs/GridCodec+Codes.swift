extension GridCodec: CodeSource {
  public var grid: CodeGrid? { CodeGrid(order, self) }

  private var order: CodeOrder {
    switch codes {
    case .bytes(let table), .nibbles(let table, _): CodeOrder(table, unused: unused)
    case .integers: .signedBytes
    }
  }

  func read(rows range: Range<Int>, codes target: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>) {
    var line = StepLine(self)
    let evenIsHigh = evenIsHigh
    bytes.withUnsafeBytes { source in
      guard let source = source.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      for row in range {
        let start = (row - range.lowerBound) * columns, place = row * stride
        if let evenIsHigh {
          for j in 0..<columns {
            target[start + j] = source[(place + j) / 2] >> Self.shift(of: place + j, evenIsHigh) & 15
          }
        } else {
          (target + start).update(from: source + place, count: columns)
        }
        line.load(row)
        line.forEachRun { first, count, step, _ in
          (steps + start + first).update(repeating: step * (lastFactor ?? 1), count: count)
        }
        if let columnFactors { for j in 0..<columns { steps[start + j] *= columnFactors[j] } }
      }
    }
  }

  func write(rows range: Range<Int>, codes source: UnsafePointer<UInt8>, into bytes: UnsafeMutableRawBufferPointer) {
    guard let target = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
    let evenIsHigh = evenIsHigh
    for row in range {
      let own = source + (row - range.lowerBound) * columns, place = row * stride
      guard let evenIsHigh else {
        (target + place).update(from: own, count: columns)
        continue
      }
      for j in 0..<columns {
        let shift = Self.shift(of: place + j, evenIsHigh), byte = (place + j) / 2
        target[byte] = target[byte] & ~(15 << shift) | own[j] << shift
      }
    }
  }

  /// Of codes of half a byte; `nil` for codes of a byte.
  private var evenIsHigh: Bool? { if case .nibbles(_, let evenIsHigh) = codes { evenIsHigh } else { nil } }

  /// How far above its byte's lowest bit the code at a place stands.
  private static func shift(of place: Int, _ evenIsHigh: Bool) -> UInt8 { (place % 2 == 0) == evenIsHigh ? 4 : 0 }
}
