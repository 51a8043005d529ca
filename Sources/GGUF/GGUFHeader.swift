import Tensors

/// The beginning of a GGUF file: metadata, and where the tensors are.
struct GGUFHeader {
  let version: UInt32
  private(set) var fields: [GGUFField] = []
  private(set) var alignment = 32
  private(set) var entries: [GGUFFile.Entry] = []
  /// Where the data begins.
  private(set) var dataStart = 0

  private let path: String
  /// The entries that have the shape of a reshaped tensor, by key.
  private let shapes: [String: GGUFField]

  /// A tensor as the header has it, before the beginning of the data is known.
  private struct Listing {
    let name: String
    /// ggml's order: a row's extent first.
    let extents: [Int]
    let format: GGUFFormat
    let offset: UInt64
  }

  /// ggml's own limit.
  private static let mostDimensions = 4
  private static let largestAlignment = 1 << 20

  /// - Parameters:
  ///   - bytes: the file, or its beginning up to the data; it begins with `GGUF`.
  ///   - fileCount: the size of the whole file.
  init(_ bytes: UnsafeRawBufferPointer, fileCount: Int, path: String) throws(GGUFError) {
    self.path = path
    var cursor = GGUFCursor(bytes, at: 4, path: path)
    version = try cursor.integer()
    guard version & 0xffff != 0 || version == 0 else { throw GGUFError(.bigEndian, path: path) }
    guard version == 2 || version == 3 else { throw GGUFError(.version(version), path: path) }
    let declared = try cursor.integer(UInt64.self)
    let fieldCount = try cursor.count(of: "metadata entries", size: 13)
    // Each takes 24 bytes at least: lengths, a format and an offset.
    guard declared <= cursor.left / 24 else {
      throw GGUFError(.count(of: "tensors", declared: declared, possible: cursor.left / 24), path: path)
    }
    fields = try Self.fields(fieldCount, &cursor, path: path)
    shapes = Dictionary(
      uniqueKeysWithValues: fields.filter { $0.key.hasPrefix(GGUFFile.originalShape) }.map { ($0.key, $0) })
    alignment = try Self.alignment(fields, path: path)
    var listings: [Listing] = []
    for _ in 0..<Int(declared) { listings.append(try Self.listing(&cursor, path: path)) }
    dataStart = (cursor.position + alignment - 1) / alignment * alignment
    entries = try places(of: listings, from: dataStart, fileCount: fileCount)
  }

  private static func fields(
    _ count: Int, _ cursor: inout GGUFCursor, path: String
  ) throws(GGUFError) -> [GGUFField] {
    var fields: [GGUFField] = [], keys: Set<String> = []
    for _ in 0..<count {
      let field = try GGUFField(&cursor)
      guard keys.insert(field.key).inserted else {
        throw GGUFError(.field(key: field.key, reason: "expected one entry, found two of this name"), path: path)
      }
      fields.append(field)
    }
    return fields
  }

  private static func alignment(_ fields: [GGUFField], path: String) throws(GGUFError) -> Int {
    let key = "general.alignment"
    guard let field = fields.first(where: { $0.key == key }) else { return 32 }
    guard case .unsigned(let value) = field.value, value.nonzeroBitCount == 1, value <= largestAlignment else {
      throw GGUFError(
        .field(
          key: key, reason: "expected a power of two up to \(largestAlignment), found \(field.text ?? "an array")"),
        path: path)
    }
    return Int(value)
  }

  private static func listing(_ cursor: inout GGUFCursor, path: String) throws(GGUFError) -> Listing {
    let name = try cursor.text("a tensor's name"), rank = try cursor.integer(UInt32.self)
    func fault(_ reason: String) -> GGUFError { GGUFError(.tensor(name: name, reason: reason), path: path) }
    guard rank <= mostDimensions else {
      throw fault("shape: expected at most \(mostDimensions) extents, found \(rank)")
    }
    var extents: [Int] = []
    for _ in 0..<rank {
      let extent = try cursor.integer(UInt64.self)
      guard let extent = Int(exactly: extent) else { throw fault("shape: expected an extent, found \(extent)") }
      extents.append(extent)
    }
    let number = try cursor.integer(UInt32.self), offset = try cursor.integer(UInt64.self)
    guard let format = GGUFFormat(rawValue: number) else {
      throw GGUFError(
        .format(tensor: name, found: GGUFFormat.otherName(number) ?? "the unknown number \(number)"), path: path)
    }
    guard let count = Shape.elementCount(of: extents), count < Int.max / 16 else {
      throw fault("shape: the number of elements is too large")
    }
    guard (extents.first ?? 1) % format.blockSize == 0 else {
      throw fault("shape: expected rows of whole blocks of \(format.blockSize), found \(extents.first ?? 1)")
    }
    return Listing(name: name, extents: extents, format: format, offset: offset)
  }

  /// Checks that the tensors lie in the file, each in a place of its own.
  private func places(
    of listings: [Listing], from start: Int, fileCount: Int
  ) throws(GGUFError) -> [GGUFFile.Entry] {
    var entries: [GGUFFile.Entry] = [], names: Set<String> = []
    for listing in listings {
      let name = listing.name
      func fault(_ reason: String) -> GGUFError { GGUFError(.tensor(name: name, reason: reason), path: path) }
      guard names.insert(name).inserted else { throw fault("expected one tensor, found two with this name") }
      guard listing.offset % UInt64(alignment) == 0 else {
        throw fault("data: expected a place that is a multiple of \(alignment), found \(listing.offset)")
      }
      let stored = Shape(listing.extents.reversed()), size = listing.format.byteCount(stored.elementCount)
      guard listing.offset <= fileCount, case let begin = start + Int(listing.offset), size <= fileCount - begin else {
        let (end, overflow) = listing.offset.addingReportingOverflow(UInt64(start) + UInt64(size))
        throw GGUFError(
          .cutOff(tensor: name, expected: overflow ? .max : Int(clamping: end), found: fileCount), path: path)
      }
      entries.append(
        GGUFFile.Entry(
          name: name, format: listing.format, shape: try originalShape(of: name, stored: stored), storedShape: stored,
          place: begin..<begin + size))
    }
    try requireSeparate(entries)
    return entries
  }

  private func requireSeparate(_ entries: [GGUFFile.Entry]) throws(GGUFError) {
    var end = 0, last = ""
    for entry in entries.filter({ !$0.place.isEmpty }).sorted(by: {
      ($0.place.lowerBound, $0.place.upperBound, $0.name) < ($1.place.lowerBound, $1.place.upperBound, $1.name)
    }) {
      guard entry.place.lowerBound >= end else {
        throw GGUFError(.overlap(tensor: entry.name, other: last), path: path)
      }
      (end, last) = (entry.place.upperBound, entry.name)
    }
  }

  /// The shape that a tensor had before it was reshaped to fit into the format; ComfyUI's converters note it.
  private func originalShape(of name: String, stored: Shape) throws(GGUFError) -> Shape {
    let key = GGUFFile.originalShape + name
    guard let field = shapes[key] else { return stored }
    guard case .integers(let extents) = field.value, Shape.elementCount(of: extents) == stored.elementCount else {
      throw GGUFError(
        .field(key: key, reason: "expected a shape of \(stored.elementCount) elements, found another"), path: path)
    }
    return Shape(extents)
  }
}
