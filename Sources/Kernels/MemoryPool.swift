/// Where feature maps have their memory: the host's, or that of a device. It belongs to a backend.
public protocol MemoryPool: AnyObject, Sendable {
  /// What is held of the memory, in use or free.
  var bytes: Int { get }

  /// The most that was ever held.
  var peakBytes: Int { get }

  /// Gives all free memory back to the system.
  func trim()

  /// Memory for `count` bytes with arbitrary contents.
  func memory(of count: Int) -> MapMemory
}

/// A piece of a pool's memory, as long as somebody holds it. Where it is only its backend knows.
open class MapMemory {
  /// For subclasses of backends: this class itself holds no memory, and refuses to be written or read.
  public init() {}

  /// Takes over the host's bytes.
  ///
  /// - Parameter place: of the first one in this memory.
  open func write(_ bytes: UnsafeRawBufferPointer, at place: Int) { fatalError("memory that nothing is written to") }

  /// Gives bytes to the host, as many as there is place for.
  ///
  /// - Parameter place: of the first one in this memory.
  open func read(into bytes: UnsafeMutableRawBufferPointer, at place: Int) { fatalError("memory that nobody reads") }

  /// Takes over bytes of another piece of the same backend's memory.
  open func copy(_ count: Int, from other: MapMemory, at source: Int, to target: Int) {
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { bytes in
      other.read(into: bytes, at: source)
      write(UnsafeRawBufferPointer(bytes), at: target)
    }
  }
}
