import Synchronization
import Testing

@testable import Kernels

/// Memory that no pointer of the host leads to, as a device has it.
private final class ElsewherePool: MemoryPool {
  private let held = Mutex(0)
  var bytes: Int { held.withLock { $0 } }
  var peakBytes: Int { bytes }
  func trim() {}

  func memory(of count: Int) -> MapMemory {
    held.withLock { $0 += count }
    return Elsewhere(count)
  }

  private final class Elsewhere: MapMemory {
    private var contents: [UInt8]

    init(_ count: Int) { contents = Array(repeating: 0, count: count) }

    override func write(_ bytes: UnsafeRawBufferPointer, at place: Int) {
      contents.replaceSubrange(place..<place + bytes.count, with: bytes)
    }

    override func read(into bytes: UnsafeMutableRawBufferPointer, at place: Int) {
      bytes.copyBytes(from: contents[place..<place + bytes.count])
    }
  }
}

/// What networks do with maps themselves needs no memory of the host; all else they ask a backend for.
@Suite struct MapMemoryTests {
  private let values = (0..<24).map(Float.init)

  private func map(_ pool: any MemoryPool) -> FeatureMap {
    FeatureMap(values, batch: 2, height: 1, width: 3, channels: 4, pool: pool)
  }

  @Test("maps in other memory are filled, read, cut and copied as those of the host")
  func maps() {
    let elsewhere = ElsewherePool(), host = HostPool()
    func results(_ pool: any MemoryPool) -> [[Float]] {
      let map = map(pool)
      let planar = FeatureMap(planar: values, batch: 2, channels: 4, height: 1, width: 3, pool: pool)
      return [
        map.values, map.planarValues, planar.values, map[channels: 1..<3].values, map[rows: 1..<4].values,
        map.mapped(pool: pool) { $0 / 2 }.values, map.picked(rows: [5, 0], pool: pool).values,
        map[rows: 2..<6].picked(rows: [1], pool: pool).values,
      ]
    }
    #expect(results(elsewhere) == results(host) && elsewhere.bytes > 0)
    #expect(results(host)[3] == [1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22])
    #expect(results(host)[7] == [12, 13, 14, 15])
  }

  @Test("a part of a map takes over another's numbers")
  func taking() {
    for pool in [ElsewherePool(), HostPool()] as [any MemoryPool] {
      let map = map(pool), part = FeatureMap([7, 8, 9, 10], batch: 1, height: 1, width: 1, channels: 4, pool: pool)
      map[rows: 2..<3].take(part)
      #expect(map.values == values[..<8] + [7, 8, 9, 10] + values[12...])
    }
  }
}
