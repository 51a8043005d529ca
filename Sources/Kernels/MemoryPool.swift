import Foundation
import Synchronization

/// Memory for feature maps that is given back to the pool, not to the system, when a map dies: fresh pages cost more
/// than many kernels.
public final class MemoryPool: Sendable {
  private struct State {
    var free: [Block] = []
    var bytes = 0
    var peakBytes = 0
  }

  /// Large blocks start at a huge page, so that the system can use such pages for them.
  private static let hugePage = 2 << 20

  private let state = Mutex(State())

  public init() {}

  deinit {
    for block in state.withLock({ $0.free }) { free(block.base) }
  }

  /// What is held of the system's memory, in use or free.
  public var bytes: Int { state.withLock { $0.bytes } }

  /// The most that was ever held.
  public var peakBytes: Int { state.withLock { $0.peakBytes } }

  /// Gives all free memory back to the system.
  public func trim() {
    let blocks = state.withLock { state in
      let blocks = state.free
      state.free = []
      state.bytes -= blocks.reduce(0) { $0 + $1.capacity }
      return blocks
    }
    for block in blocks { free(block.base) }
  }

  /// Memory for `count` bytes with arbitrary contents.
  func memory(of count: Int) -> PooledMemory {
    let block = state.withLock { state -> Block in
      // The smallest block that fits, if it is not wastefully large.
      let fitting = state.free.indices.filter {
        state.free[$0].capacity >= count && state.free[$0].capacity <= 2 * count
      }
      if let best = fitting.min(by: { state.free[$0].capacity < state.free[$1].capacity }) {
        return state.free.remove(at: best)
      }
      let block = Self.allocated(count)
      state.bytes += block.capacity
      state.peakBytes = max(state.peakBytes, state.bytes)
      return block
    }
    return PooledMemory(block, pool: self)
  }

  private static func allocated(_ count: Int) -> Block {
    let isLarge = count >= hugePage, alignment = isLarge ? hugePage : 64
    let capacity = max(count + alignment - 1, alignment) / alignment * alignment
    guard let base = aligned_alloc(alignment, capacity) else { fatalError("no memory for \(capacity) bytes") }
    #if os(Linux)
      if isLarge { madvise(base, capacity, MADV_HUGEPAGE) }
    #endif
    return Block(base: base, capacity: capacity)
  }

  fileprivate func takeBack(_ block: Block) { state.withLock { $0.free.append(block) } }

  fileprivate struct Block: @unchecked Sendable {
    // Sendable: whoever holds a block is its only user.
    let base: UnsafeMutableRawPointer
    let capacity: Int
  }
}

/// A piece of a pool's memory, as long as somebody holds it.
final class PooledMemory {
  private let block: MemoryPool.Block
  private let pool: MemoryPool

  fileprivate init(_ block: MemoryPool.Block, pool: MemoryPool) {
    self.block = block
    self.pool = pool
  }

  deinit { pool.takeBack(block) }

  var base: UnsafeMutableRawPointer { block.base }
}
