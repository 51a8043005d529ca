/// Memory that grows when needed and is kept, so that fresh pages are touched once and not for every use.
public final class ReusableMemory<Element: BitwiseCopyable & ExpressibleByIntegerLiteral> {
  private var memory = UnsafeMutableBufferPointer<Element>(start: nil, count: 0)

  /// Takes no memory before the first use.
  public init() {}
  deinit { memory.deallocate() }

  /// Room for `count` values with arbitrary contents, valid until the next call.
  public func room(for count: Int) -> UnsafeMutableBufferPointer<Element> {
    if memory.count < count {
      memory.deallocate()
      memory = .allocate(capacity: count)
      memory.initialize(repeating: 0)
    }
    return UnsafeMutableBufferPointer(rebasing: memory[..<count])
  }
}
