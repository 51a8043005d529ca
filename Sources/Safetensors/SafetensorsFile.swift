import Files
public import Tensors

/// A safetensors file, mapped and validated: a header that names tensors, and views of their bytes.
///
/// Everything the header claims is checked once, on opening; tensors are cheap views afterwards. Format:
/// https://github.com/huggingface/safetensors, and as strict as its reference library, except that a repeated tensor
/// name is refused here.
public struct SafetensorsFile: Sendable {
  /// One tensor, as the header describes it.
  public struct Entry: Sendable {
    /// Full name, different from all others in the file.
    public let name: String
    /// The number format of the stored elements.
    public let dtype: DType
    /// As the header has it; none of its extents is negative.
    public let shape: Shape
    /// Where the tensor's bytes lie, counted from the beginning of the data section.
    public let range: Range<Int>
  }

  /// As it was given.
  public let path: String
  /// In the header's order.
  public let entries: [Entry]
  /// In the file's order. Text from strangers: show it, never run or trust it.
  public let metadata: [(key: String, value: String)]
  /// Oddities that are allowed, in words.
  public let warnings: [String]
  /// All bytes after the header: what content hashes cover.
  public let data: Bytes
  /// The size of the whole file in bytes.
  public let byteCount: Int
  private let indexOfName: [String: Int]
  /// Of a file in memory: what stands before its data.
  private let ownHead: Bytes?

  /// Opens and validates the file at `path`.
  ///
  /// - Throws: `FileError`, or `SafetensorsError` naming the first fault.
  public init(path: String) throws {
    let file = try MappedFile(path: path)
    let bytes = file.bytes
    let headerCount = try Self.headerLength(of: bytes, path: path)
    var parsed: HeaderParser?
    // `withUnsafeBytes` rethrows untyped, so the typed error travels as a value.
    let outcome = bytes[8..<8 + headerCount].withUnsafeBytes { text in
      Result { () throws(SafetensorsError) in try HeaderParser.parse(text, path: path) }
    }
    parsed = try outcome.get()
    let header = parsed!
    data = bytes[8 + headerCount..<bytes.count]
    entries = try Self.validated(header.entries, dataCount: data.count, path: path)
    metadata = header.metadata
    warnings = header.warnings
    byteCount = bytes.count
    self.path = path
    indexOfName = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    ownHead = nil
  }

  /// Makes a file in memory, which holds the tensors as one on a disk would.
  ///
  /// - Parameters:
  ///   - tensors: are copied once.
  ///   - title: what messages call it, in a path's place.
  /// - Throws: `SafetensorsError` for two tensors of one name.
  public init(
    tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)] = [], title: String
  ) throws(SafetensorsError) {
    var names: Set<String> = []
    for (name, _) in tensors where !names.insert(name).inserted {
      throw SafetensorsError(.duplicateTensor(name), path: title)
    }
    let layout = SafetensorsLayout(
      tensors.map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }, metadata: metadata)
    let head = layout.head()
    path = title
    entries = layout.places.map {
      Entry(name: $0.item.name, dtype: $0.item.dtype, shape: $0.item.shape, range: $0.range)
    }
    self.metadata = metadata
    warnings = []
    data = layout.copiedData(of: tensors)
    byteCount = head.count + data.count
    indexOfName = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    ownHead = Bytes(copying: head)
  }

  /// The tensor called `name`, or `nil`.
  public subscript(name: String) -> Tensor? {
    indexOfName[name].map { tensor(entries[$0]) }
  }

  /// The place of a tensor in `entries`, or `nil`.
  public func index(of name: String) -> Int? { indexOfName[name] }

  /// A view of the mapped file; nothing is read before it is used.
  public func tensor(_ entry: Entry) -> Tensor {
    Tensor(dtype: entry.dtype, shape: entry.shape, bytes: data[entry.range])
  }

  /// The bytes of the file before its data section: the length field and the header.
  public var head: Bytes {
    get throws(FileError) {
      if let ownHead { return ownHead }
      let bytes = try MappedFile(path: path).bytes, count = byteCount - data.count
      guard bytes.count >= count else { throw FileError(.changed, path: path) }
      return bytes[0..<count]
    }
  }

  /// The entries of a file that begins with `head` and is otherwise not at hand.
  ///
  /// - Parameter path: for messages.
  public static func entries(head: Bytes, path: String) throws(SafetensorsError) -> [Entry] {
    let count = try headerLength(of: head, path: path)
    let outcome = head[8..<8 + count].withUnsafeBytes { text in
      Result { () throws(SafetensorsError) in try HeaderParser.parse(text, path: path) }
    }
    let raw = try outcome.get().entries
    return try validated(raw, dataCount: raw.map(\.end).max() ?? 0, path: path)
  }

  private static func headerLength(of bytes: Bytes, path: String) throws(SafetensorsError) -> Int {
    let beginning = bytes.withUnsafeBytes { Array($0.prefix(512)) }
    let words = String(decoding: beginning, as: UTF8.self).drop(while: \.isWhitespace).prefix(15).lowercased()
    if words.hasPrefix("<!doctype html") || words.hasPrefix("<html") || words.hasPrefix("<?xml") {
      throw SafetensorsError(.html, path: path)
    }
    if bytes.isPointer { throw SafetensorsError(.pointer, path: path) }
    guard bytes.count >= 8 else { throw SafetensorsError(.tooShort(bytes: bytes.count), path: path) }
    let declared = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    guard declared <= 100_000_000 else { throw SafetensorsError(.headerTooLong(declared: declared), path: path) }
    guard declared <= bytes.count - 8 else {
      throw SafetensorsError(.headerLength(declared: declared, available: bytes.count - 8), path: path)
    }
    return Int(declared)
  }

  /// Checks that entries have the right sizes and cover the data section exactly, once.
  private static func validated(
    _ raw: [HeaderEntry], dataCount: Int, path: String
  ) throws(SafetensorsError) -> [Entry] {
    func fault(_ kind: SafetensorsError.Kind) -> SafetensorsError { SafetensorsError(kind, path: path) }
    var names: Set<String> = []
    names.reserveCapacity(raw.count)
    var entries: [Entry] = []
    entries.reserveCapacity(raw.count)
    for entry in raw {
      guard names.insert(entry.name).inserted else { throw fault(.duplicateTensor(entry.name)) }
      guard let count = Shape.elementCount(of: entry.extents),
        case let (bits, overflow) = count.multipliedReportingOverflow(by: entry.dtype.bits), !overflow
      else { throw fault(.entry(tensor: entry.name, reason: "shape: the number of elements is too large")) }
      guard bits % 8 == 0 else {
        throw fault(
          .entry(
            tensor: entry.name, reason: "shape: expected whole bytes of \(entry.dtype.rawValue), found \(bits) bits"))
      }
      guard entry.begin <= entry.end else {
        throw fault(
          .entry(
            tensor: entry.name, reason: "data_offsets: expected begin before end, found [\(entry.begin), \(entry.end)]")
        )
      }
      guard entry.end - entry.begin == bits / 8 else {
        throw fault(.byteCount(tensor: entry.name, expected: bits / 8, found: entry.end - entry.begin))
      }
      entries.append(
        Entry(name: entry.name, dtype: entry.dtype, shape: Shape(entry.extents), range: entry.begin..<entry.end))
    }
    var end = 0, last = ""
    for entry in entries.sorted(by: {
      ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }) {
      if entry.range.lowerBound < end { throw fault(.overlap(tensor: entry.name, other: last)) }
      guard entry.range.lowerBound == end else {
        throw fault(.gap(tensor: entry.name, expected: end, found: entry.range.lowerBound))
      }
      (end, last) = (entry.range.upperBound, entry.name)
    }
    guard end == dataCount else { throw fault(.dataLength(expected: end, found: dataCount)) }
    return entries
  }
}
