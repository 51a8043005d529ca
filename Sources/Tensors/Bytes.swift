/// A range of immutable memory that keeps its owner alive: a mapped file, or memory of our own; or what is computed anew
/// whenever it is asked for, and takes no memory meanwhile.
public struct Bytes: @unchecked Sendable {
  // Sendable: the memory is never written after this value exists, and `owner` is only held, never called.
  private let owner: AnyObject
  private let base: UnsafeRawBufferPointer
  private let reader: (any DirectReading)?
  private let computed: Computed?

  /// A recipe for memory.
  private struct Computed {
    /// Of what the recipe makes.
    let range: Range<Int>
    let make: @Sendable (Range<Int>) -> Bytes
  }

  /// A view of `buffer`, which must stay valid and unchanged as long as `owner` lives.
  ///
  /// - Parameter reader: the owner, if it can copy parts of the memory without touching it.
  public init(_ buffer: UnsafeRawBufferPointer, keeping owner: AnyObject, reader: (any DirectReading)? = nil) {
    self.owner = owner
    self.reader = reader
    base = buffer
    computed = nil
  }

  /// What `make` returns, asked anew each time: always the same `count` bytes.
  public init(count: Int, computedBy make: @escaping @Sendable () -> Bytes) {
    self.init(computed: Computed(range: 0..<count) { make()[$0] })
  }

  /// What `make` returns for a range of `count` bytes, asked anew each time: always the same bytes, as many as the range has.
  public init(count: Int, rangesComputedBy make: @escaping @Sendable (Range<Int>) -> Bytes) {
    self.init(computed: Computed(range: 0..<count, make: make))
  }

  private init(computed: Computed) {
    (owner, reader, base) = (Nothing.one, nil, UnsafeRawBufferPointer(start: nil, count: 0))
    self.computed = computed
  }

  /// A copy of `elements`' memory.
  public init<Element: BitwiseCopyable>(copying elements: [Element]) {
    self = elements.withUnsafeBytes { source in
      Bytes(count: source.count) { $0.copyMemory(from: source) }
    }
  }

  /// Fresh memory of `count` bytes, filled by `fill`.
  public init(count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
    let block = Block(count: count)
    try fill(block.buffer)
    self.init(UnsafeRawBufferPointer(block.buffer), keeping: block)
  }

  /// Whether they are made anew whenever they are asked for.
  public var isComputed: Bool { computed != nil }

  /// How many bytes there are, known before any is read or computed.
  public var count: Int { computed?.range.count ?? base.count }

  /// The part from `range.lowerBound` up to `range.upperBound`, sharing the same owner.
  public subscript(range: Range<Int>) -> Bytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "byte range outside the memory")
    if let computed {
      let start = computed.range.lowerBound
      return Bytes(
        computed: Computed(range: start + range.lowerBound..<start + range.upperBound, make: computed.make))
    }
    return Bytes(UnsafeRawBufferPointer(rebasing: base[range]), keeping: owner, reader: reader)
  }

  /// The bytes while `body` runs; computed bytes are made anew at every call.
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    if let computed {
      let bytes = computed.make(computed.range)
      precondition(bytes.count == computed.range.count, "\(bytes.count) bytes computed of \(computed.range.count)")
      return try bytes.withUnsafeBytes(body)
    }
    return try withExtendedLifetime(owner) { try body(base) }
  }

  /// A copy of a few bytes. From a mapped file it costs one read instead of mapping pages, which is twenty times as
  /// fast for scattered scalars.
  func smallCopy() -> [UInt8] {
    guard let reader else { return withUnsafeBytes(Array.init) }
    return [UInt8](unsafeUninitializedCapacity: base.count) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<base.count])
      if !reader.read(base, into: target) { target.copyMemory(from: base) }
      count = base.count
    }
  }

  /// Says that the memory is not needed for now. Pages of a mapped file then stop to count as this process's memory; the
  /// bytes stay what they are.
  public func forget() { reader?.forget(base) }

  /// The owner of memory that is not there.
  private final class Nothing: Sendable { static let one = Nothing() }

  private final class Block {
    let buffer: UnsafeMutableRawBufferPointer
    init(count: Int) { buffer = .allocate(byteCount: count, alignment: 64) }
    deinit { buffer.deallocate() }
  }
}

/// An owner of memory that can copy parts of it without the memory being touched.
public protocol DirectReading: AnyObject {
  /// Copies `part` of the owner's memory to `target`, which has the same size.
  ///
  /// - Returns: whether it could be read this way.
  func read(_ part: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Bool

  /// Takes note that `part` will not be touched for a while.
  func forget(_ part: UnsafeRawBufferPointer)
}
