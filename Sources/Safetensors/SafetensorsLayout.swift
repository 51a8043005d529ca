import JSON
public import Tensors

/// Where every byte of a safetensors file to be written goes: the header's text and each tensor's place.
///
/// Tensors stand in the canonical order (dtype from widest to narrowest, then name) unless another is given; the data
/// section begins at a multiple of eight. Equal tensors and metadata give equal bytes.
public struct SafetensorsLayout: Sendable {
  /// A tensor to be written.
  public struct Item: Sendable {
    /// Full name, different from all others in the file.
    public let name: String
    /// The number format of the stored elements.
    public let dtype: DType
    /// May have extents of 0; none for a scalar.
    public let shape: Shape
    /// `name` may be anything but `__metadata__`, which the header needs itself.
    public init(name: String, dtype: DType, shape: Shape) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
    }
    /// What its elements take; whole bytes for all formats that are written.
    public var byteCount: Int { shape.elementCount * dtype.bits / 8 }

    /// The item's entry in the header's JSON.
    public func headerText(at range: Range<Int>) -> String {
      let extents = shape.extents.map(String.init).joined(separator: ",")
      return "\(name.jsonQuoted):{\"dtype\":\"\(dtype.rawValue)\",\"shape\":[\(extents)],"
        + "\"data_offsets\":[\(range.lowerBound),\(range.upperBound)]}"
    }

    /// Whether this item stands before `other` in a file: wider formats first, then names in byte order, which for
    /// UTF-8 is the order of code points.
    public func precedes(_ other: Item) -> Bool {
      dtype == other.dtype
        ? name.utf8.lexicographicallyPrecedes(other.name.utf8) : dtype.canonicalRank > other.dtype.canonicalRank
    }
  }

  /// In file order, with each tensor's bytes counted from the beginning of the data section.
  public let places: [(item: Item, range: Range<Int>)]
  /// In the order in which the header has it.
  public let metadata: [(key: String, value: String)]
  /// Bytes of the data section, up to the end of the last tensor.
  public let dataCount: Int
  private let indexOfName: [String: Int]

  /// - Precondition: no two items have the same name.
  public init(_ items: [Item], metadata: [(key: String, value: String)]) {
    self.init(inOrder: items.sorted { $0.precedes($1) }, metadata: metadata)
  }

  /// A layout whose tensors stand as given rather than in the canonical order: for a file that is to look like another.
  ///
  /// - Precondition: no two items have the same name.
  public init(inOrder items: [Item], metadata: [(key: String, value: String)]) {
    var offset = 0
    places = items.map { item in
      defer { offset += item.byteCount }
      return (item, offset..<offset + item.byteCount)
    }
    self.metadata = metadata
    dataCount = offset
    indexOfName = Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1.item.name, $0) })
  }

  /// The bytes of the tensor called `name`, counted from the beginning of the data section.
  public func range(of name: String) -> Range<Int> { places[indexOfName[name]!].range }

  /// The length field and the padded header: everything before the data section.
  public func head() -> [UInt8] {
    var text = "{"
    if !metadata.isEmpty {
      text += "\"__metadata__\":{"
      text += metadata.map { "\($0.key.jsonQuoted):\($0.value.jsonQuoted)" }.joined(separator: ",")
      text += places.isEmpty ? "}" : "},"
    }
    text += places.map { $0.item.headerText(at: $0.range) }.joined(separator: ",")
    text += "}"
    var header = Array(text.utf8)
    header.append(contentsOf: [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8))
    return withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header
  }

  /// The data section, put together each time it is asked for.
  ///
  /// - Precondition: these are the layout's tensors.
  public func data(of tensors: [(name: String, tensor: Tensor)]) -> Bytes {
    precondition(tensors.count == places.count, "\(tensors.count) tensors for a layout of \(places.count)")
    return Bytes(count: dataCount) { copiedData(of: tensors) }
  }

  /// The same, put together now.
  func copiedData(of tensors: [(name: String, tensor: Tensor)]) -> Bytes {
    Bytes(count: dataCount) { data in
      for (name, tensor) in tensors {
        let part = UnsafeMutableRawBufferPointer(rebasing: data[range(of: name)])
        precondition(part.count == tensor.bytes.count, "\(name) has \(part.count) bytes, not \(tensor.bytes.count)")
        tensor.bytes.withUnsafeBytes { part.copyMemory(from: $0) }
      }
    }
  }

  /// The size of the file in bytes.
  public var fileCount: Int { head().count + dataCount }
}
