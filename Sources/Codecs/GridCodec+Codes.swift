extension GridCodec: CodeSource {
  public var grid: CodeGrid? { CodeGrid(order, self) }

  private var order: CodeOrder {
    switch codes {
    case .bytes(let table), .nibbles(let table, _): CodeOrder(table, unused: unused)
    // The encoders leave −128 out, so that both signs reach as far.
    case .integers: CodeOrder((0..<256).map { Float(Int8(truncatingIfNeeded: $0)) }, unused: [0x80])
    }
  }

  func read(rows range: Range<Int>, codes target: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>) {
    var line = StepLine(self)
    bytes.withUnsafeBytes { source in
      for row in range {
        let start = (row - range.lowerBound) * columns
        for j in 0..<columns { target[start + j] = code(source, row * stride + j) }
        line.load(row)
        line.forEachRun { first, count, step, _ in
          (steps + start + first).update(repeating: step * (lastFactor ?? 1), count: count)
        }
        if let columnFactors { for j in 0..<columns { steps[start + j] *= columnFactors[j] } }
      }
    }
  }

  func write(rows range: Range<Int>, codes source: UnsafePointer<UInt8>, into bytes: UnsafeMutableRawBufferPointer) {
    for row in range {
      let start = (row - range.lowerBound) * columns
      for j in 0..<columns { put(source[start + j], at: row * stride + j, into: bytes) }
    }
  }

  private func code(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt8 {
    guard case .nibbles(_, let evenIsHigh) = codes else { return bytes[place] }
    return bytes[place / 2] >> ((place % 2 == 0) == evenIsHigh ? 4 : 0) & 15
  }

  private func put(_ code: UInt8, at place: Int, into bytes: UnsafeMutableRawBufferPointer) {
    guard case .nibbles(_, let evenIsHigh) = codes else { return bytes[place] = code }
    let shift: UInt8 = (place % 2 == 0) == evenIsHigh ? 4 : 0
    bytes[place / 2] = bytes[place / 2] & ~(15 << shift) | code << shift
  }
}
