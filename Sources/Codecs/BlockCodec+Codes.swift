import CArithmetic

extension BlockCodec: CodeSource {
  public var grid: CodeGrid? { CodeGrid(BlockLayout.layout(of: format).order, self) }

  func read(rows range: Range<Int>, codes: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>) {
    let layout = BlockLayout.layout(of: format)
    withBlocks(of: range) { blocks, first, count in
      let elements = blocks.count * format.elements, groups = elements / layout.groupLength
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: elements) { whole in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: groups) { own in
          bytes[blocks.lowerBound * format.bytes..<blocks.upperBound * format.bytes].withUnsafeBytes { source in
            guard let source = source.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            layout.parts.withUnsafeBufferPointer {
              lathe_read_codes(
                source, format.bytes, blocks.count, $0.baseAddress!, layout.partCount, format.elements,
                whole.baseAddress!)
            }
            layout.steps(source, own.baseAddress!, blocks.count)
          }
          codes.update(from: whole.baseAddress! + first, count: count)
          var done = 0
          for group in first / layout.groupLength..<groups where done < count {
            let end = min((group + 1) * layout.groupLength - first, count)
            (steps + done).update(repeating: own[group], count: end - done)
            done = end
          }
        }
      }
    }
  }

  func write(rows range: Range<Int>, codes: UnsafePointer<UInt8>, into bytes: UnsafeMutableRawBufferPointer) {
    let layout = BlockLayout.layout(of: format)
    withBlocks(of: range) { blocks, first, count in
      let elements = blocks.count * format.elements
      let target = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + blocks.lowerBound * format.bytes
      layout.parts.withUnsafeBufferPointer { parts in
        let write = {
          lathe_write_codes(
            target, format.bytes, blocks.count, parts.baseAddress!, layout.partCount, format.elements, $0)
        }
        guard count < elements else { return write(codes) }
        // The neighbours in the first and the last block have their codes already.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: elements) { whole in
          lathe_read_codes(
            target, format.bytes, blocks.count, parts.baseAddress!, layout.partCount, format.elements,
            whole.baseAddress!)
          (whole.baseAddress! + first).update(from: codes, count: count)
          write(UnsafePointer(whole.baseAddress!))
        }
      }
    }
  }

  /// Calls `body` with the blocks that rows lie in, where the rows begin in them, and how many numbers they have.
  private func withBlocks(of rows: Range<Int>, _ body: (Range<Int>, Int, Int) -> Void) {
    let start = rows.lowerBound * columns, count = rows.count * columns
    guard count > 0 else { return }
    let blocks = start / format.elements..<(start + count + format.elements - 1) / format.elements
    body(blocks, start - blocks.lowerBound * format.elements, count)
  }
}
