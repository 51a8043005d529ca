import Foundation
import Kernels
import Testing

@testable import Kernels

@Suite struct HostPoolTests {
  @Test("memory that nobody holds is used again")
  func reuse() {
    let pool = HostPool()
    var first: HostMemory? = pool.hostMemory(of: 1000)
    let place = first!.base, bytes = pool.bytes
    #expect(bytes >= 1000)
    let second = pool.hostMemory(of: 1000)
    #expect(second.base != place, "two holders of the same memory")
    let both = pool.bytes
    first = nil
    #expect(pool.hostMemory(of: 900).base == place)
    #expect(pool.hostMemory(of: 600).base == place)
    #expect(pool.bytes == both)
    withExtendedLifetime(second) {}
  }

  @Test("small maps do not take large memory, and nothing fits into too little")
  func sizes() {
    let pool = HostPool()
    let place = pool.hostMemory(of: 1 << 20).base
    #expect(pool.hostMemory(of: 1 << 10).base != place)
    let large = pool.hostMemory(of: 2 << 20)
    #expect(large.base != place)
    #expect(pool.hostMemory(of: 1 << 20).base == place)
  }

  @Test("memory is aligned for vectors, and large memory for huge pages", arguments: [0, 1, 63, 65, 4096, 3 << 20])
  func alignment(_ count: Int) {
    let memory = HostPool().hostMemory(of: count)
    #expect(Int(bitPattern: memory.base) % (count >= 2 << 20 ? 2 << 20 : 64) == 0)
    memset(memory.base, 1, count)
  }

  @Test("a map's memory lives as long as a view of it")
  func views() {
    let pool = HostPool()
    let view = FeatureMap(Array(repeating: 3, count: 64), batch: 1, height: 1, width: 8, channels: 8, pool: pool)[
      channels: 2..<4]
    let other = FeatureMap(Array(repeating: 5, count: 64), batch: 1, height: 1, width: 8, channels: 8, pool: pool)
    #expect(view.values.allSatisfy { $0 == 3 } && other.values.allSatisfy { $0 == 5 })
  }

  @Test("a pool serves several threads")
  func threads() {
    let pool = HostPool()
    DispatchQueue.concurrentPerform(iterations: 8) { turn in
      for i in 0..<200 {
        let count = 64 + i % 7 * 512, memory = pool.hostMemory(of: count)
        memset(memory.base, Int32(turn), count)
        let bytes = UnsafeRawBufferPointer(start: memory.base, count: count)
        #expect(bytes.allSatisfy { $0 == UInt8(turn) })
      }
    }
  }
}
