import Foundation
import Synchronization

/// The host's memory for feature maps. It is given back to the pool, not to the system, when a map dies: fresh pages cost
/// more than many kernels.
public final class HostPool: MemoryPool {
  private struct State {
    var free: [Block] = []
    var bytes = 0
    var peakBytes = 0
  }

  /// Large blocks start at a huge page, so that the system can use such pages for them.
  private static let hugePage = 2 << 20

  private let state = Mutex(State())

  /// Holds nothing yet; blocks come with the first maps.
  public init() {}

  deinit {
    for block in state.withLock({ $0.free }) { free(block.base) }
  }

  /// Bytes of all blocks, in use or free; blocks are kept for later maps until `trim()`.
  public var bytes: Int { state.withLock { $0.bytes } }

  /// The largest `bytes` so far; `trim()` does not lower it.
  public var peakBytes: Int { state.withLock { $0.peakBytes } }

  /// Frees the blocks that no map uses. Maps keep theirs.
  public func trim() {
    let blocks = state.withLock { state in
      let blocks = state.free
      state.free = []
      state.bytes -= blocks.reduce(0) { $0 + $1.capacity }
      return blocks
    }
    for block in blocks { free(block.base) }
  }

  /// A free block of at most twice the size, or else a new one.
  public func memory(of count: Int) -> MapMemory { hostMemory(of: count) }

  /// The same, for those who work on it.
  func hostMemory(of count: Int) -> HostMemory {
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
    return HostMemory(block, pool: self)
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

/// A piece of the host's memory.
final class HostMemory: MapMemory {
  private let block: HostPool.Block
  private let pool: HostPool

  fileprivate init(_ block: HostPool.Block, pool: HostPool) {
    self.block = block
    self.pool = pool
  }

  deinit { pool.takeBack(block) }

  var base: UnsafeMutableRawPointer { block.base }

  override func write(_ bytes: UnsafeRawBufferPointer, at place: Int) {
    if let source = bytes.baseAddress { (base + place).copyMemory(from: source, byteCount: bytes.count) }
  }

  override func read(into bytes: UnsafeMutableRawBufferPointer, at place: Int) {
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: base + place, count: bytes.count))
  }

  override func copy(_ count: Int, from other: MapMemory, at source: Int, to target: Int) {
    guard let other = other as? HostMemory else { preconditionFailure("memory of another backend") }
    (base + target).copyMemory(from: other.base + source, byteCount: count)
  }
}

/// What kernels on the host see of a map.
extension FeatureMap {
  /// - Precondition: the map is in the host's memory, as those of a backend on the host are.
  var base: UnsafeMutableRawPointer {
    guard let memory = memory as? HostMemory else { preconditionFailure("a map of another backend") }
    return memory.base + offset * format.size
  }

  var floats: UnsafeMutablePointer<Float> {
    precondition(format == .f32, "a map of 16-bit numbers where 32 bits are needed")
    return base.assumingMemoryBound(to: Float.self)
  }
}
