public import Tensors

/// Where every byte of a GGUF file to be written goes: the header and each tensor's place.
public struct GGUFLayout: Sendable {
  /// A tensor to be written.
  public struct Item: Sendable {
    /// Full name, different from all others in the file.
    public let name: String
    /// How its numbers will be stored.
    public let format: GGUFFormat
    /// As the file is to have it, in C order: the last extent is a row's.
    public let shape: Shape

    /// - Precondition: a row is whole blocks of the format.
    public init(name: String, format: GGUFFormat, shape: Shape) {
      precondition((shape.extents.last ?? 1) % format.blockSize == 0, "\(name) is not made of whole blocks")
      (self.name, self.format, self.shape) = (name, format, shape)
    }

    /// What its numbers take, without the padding behind them.
    public var byteCount: Int { format.byteCount(shape.elementCount) }
  }

  /// In file order, with each tensor's bytes counted from the beginning of the data.
  public let places: [(item: Item, range: Range<Int>)]
  /// Metadata that is added to what the model's file has.
  public let texts: [(key: String, value: String)]
  /// Up to the end of the last tensor.
  public let dataCount: Int
  let alignment: Int
  private let version: UInt32
  private let fields: [Bytes]
  private let fileType: UInt32?

  /// - Parameters:
  ///   - items: of different names, in the order in which they are to stand.
  ///   - model: a file whose version, alignment and metadata are taken over.
  ///   - keeps: which of its metadata entries are, by key.
  ///   - texts: metadata that is added.
  public init(
    _ items: [Item], like model: GGUFFile, keeping keeps: (String) -> Bool, texts: [(key: String, value: String)]
  ) {
    let alignment = model.alignment
    var offset = 0
    places = items.map { item in
      let start = (offset + alignment - 1) / alignment * alignment
      offset = start + item.byteCount
      return (item, start..<offset)
    }
    dataCount = offset
    (self.alignment, self.texts, version) = (alignment, texts, model.version)
    // What the file says of its tensors' formats may not hold any more.
    let old = Dictionary(uniqueKeysWithValues: model.entries.map { ($0.name, $0.format) })
    let isAlike = items.allSatisfy { old[$0.name] == $0.format }
    let typeKey = "general.file_type", hasType = model[typeKey] != nil
    fileType = isAlike || !hasType ? nil : Self.fileType(items)
    fields = model.fields.filter { ($0.key != typeKey || isAlike) && keeps($0.key) }.map { model.bytes[$0.place] }
  }

  /// llama.cpp's number of a file most of whose weights are of one format.
  private static func fileType(_ items: [Item]) -> UInt32 {
    let counts = Dictionary(items.map { ($0.format, $0.shape.elementCount) }, uniquingKeysWith: +)
    // Of two that are equally common always the same.
    switch counts.max(by: { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) })?.key {
    case .f16: return 1
    case .q4_0: return 2
    case .q4_1: return 3
    case .q8_0: return 7
    case .q5_0: return 8
    case .q5_1: return 9
    case .q2_k: return 10
    case .q3_k: return 12
    case .q4_k: return 15
    case .q5_k: return 17
    case .q6_k: return 18
    case .iq4_nl: return 25
    case .iq4_xs: return 30
    case .bf16: return 32
    case .mxfp4: return 38
    case .nvfp4: return 39
    default: return 0
    }
  }

  /// Everything before the data, padded to the alignment.
  public func head() -> [UInt8] {
    func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
    func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
    let fieldCount = fields.count + texts.count + (fileType == nil ? 0 : 1)
    var head = Array("GGUF".utf8) + little(version) + little(UInt64(places.count)) + little(UInt64(fieldCount))
    for field in fields { field.withUnsafeBytes { head.append(contentsOf: $0) } }
    if let fileType { head += text("general.file_type") + little(UInt32(4)) + little(fileType) }
    for (key, value) in texts { head += text(key) + little(UInt32(8)) + text(value) }
    for (item, range) in places {
      head += text(item.name) + little(UInt32(item.shape.rank))
      for extent in item.shape.extents.reversed() { head += little(UInt64(extent)) }
      head += little(item.format.rawValue) + little(UInt64(range.lowerBound))
    }
    return head + [UInt8](repeating: 0, count: (alignment - head.count % alignment) % alignment)
  }

  /// The same layout with other texts.
  ///
  /// - Precondition: they are as long as the old ones.
  func with(texts: [(key: String, value: String)]) -> GGUFLayout { GGUFLayout(self, texts: texts) }

  private init(_ other: GGUFLayout, texts: [(key: String, value: String)]) {
    (places, dataCount, alignment, version) = (other.places, other.dataCount, other.alignment, other.version)
    (fields, fileType, self.texts) = (other.fields, other.fileType, texts)
  }
}
