import Tensors

/// Where the entries of a zip archive that are stored as they are lie in its file, so that they need not be read.
///
/// libzip unpacks entries but does not say where they are. This reads the archive's directory for that and nothing
/// else: an entry with anything odd about it has no place here, and libzip has the word on it.
///
/// Format: PKWARE's APPNOTE 6.3.9, sections 4.3.7, 4.3.12 to 4.3.16 and 4.5.3.
struct ZipPlaces {
  private struct Entry {
    let header: Int
    let count: Int
  }

  private let file: Bytes
  /// `nil` for a name that occurs twice.
  private var entries: [String: Entry?] = [:]

  init(_ file: Bytes) {
    self.file = file
    let directory = file.withUnsafeBytes { Self.directory(of: ZipFields($0)) }
    guard let directory else { return }
    file.withUnsafeBytes { bytes in
      let fields = ZipFields(bytes)
      var place = directory.start
      for _ in 0..<directory.count {
        guard let (name, entry, next) = Self.entry(at: place, fields) else { return }
        if let entry { entries.updateValue(entries[name] == nil ? entry : nil, forKey: name) }
        place = next
      }
    }
  }

  /// The bytes of the entry called `name`, counted from the beginning of the file; `nil` when it is compressed or odd.
  func range(of name: String) -> Range<Int>? {
    guard let entry = entries[name] ?? nil else { return nil }
    return file.withUnsafeBytes { bytes in
      let fields = ZipFields(bytes), header = entry.header
      guard fields[header, 4] == 0x0403_4b50, let nameCount = fields[header + 26, 2],
        let extraCount = fields[header + 28, 2], fields.text(header + 30, nameCount) == name,
        case let start = header + 30 + nameCount + extraCount, start <= bytes.count, entry.count <= bytes.count - start
      else { return nil }
      return start..<start + entry.count
    }
  }

  /// Where the directory begins, and how many entries it has.
  private static func directory(of fields: ZipFields) -> (start: Int, count: Int)? {
    // The record stands at the end, before a comment of at most 65535 bytes.
    for place in stride(from: fields.count - 22, through: max(0, fields.count - 22 - 0xffff), by: -1)
    where fields[place, 4] == 0x0605_4b50 {
      guard let count = fields[place + 10, 2], let start = fields[place + 16, 4] else { return nil }
      guard count == 0xffff || start == 0xffff_ffff else { return (start, count) }
      guard fields[place - 20, 4] == 0x0706_4b50, let record = fields[place - 12, 8], fields[record, 4] == 0x0606_4b50,
        let count = fields[record + 32, 8], let start = fields[record + 48, 8]
      else { return nil }
      return (start, count)
    }
    return nil
  }

  /// An entry of the directory, without a place when it is compressed or encrypted, and where the next one is.
  private static func entry(at place: Int, _ fields: ZipFields) -> (name: String, entry: Entry?, next: Int)? {
    guard fields[place, 4] == 0x0201_4b50, let flags = fields[place + 8, 2], let method = fields[place + 10, 2],
      var packed = fields[place + 20, 4], var count = fields[place + 24, 4], let nameCount = fields[place + 28, 2],
      let extraCount = fields[place + 30, 2], let commentCount = fields[place + 32, 2],
      var header = fields[place + 42, 4], let name = fields.text(place + 46, nameCount)
    else { return nil }
    let extra = place + 46 + nameCount, next = extra + extraCount + commentCount
    // Fields that are all ones stand in the extra field, in this order.
    var wide = fields.extra(1, in: extra..<extra + extraCount)
    func widen(_ value: inout Int) -> Bool {
      guard value == 0xffff_ffff else { return true }
      guard let range = wide, range.count >= 8, let number = fields[range.lowerBound, 8] else { return false }
      (value, wide) = (number, range.lowerBound + 8..<range.upperBound)
      return true
    }
    guard widen(&count), widen(&packed), widen(&header), method == 0, flags & 1 == 0, packed == count else {
      return (name, nil, next)
    }
    return (name, Entry(header: header, count: count), next)
  }
}

/// Little-endian numbers of a file, `nil` outside of it.
private struct ZipFields {
  private let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var count: Int { bytes.count }

  /// The number of `size` bytes at `place`; `nil` also for one beyond the largest `Int`.
  subscript(place: Int, size: Int) -> Int? {
    guard place >= 0, place <= bytes.count - size else { return nil }
    return Int(exactly: bytes[place..<place + size].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  func text(_ place: Int, _ count: Int) -> String? {
    guard place >= 0, place <= bytes.count - count else { return nil }
    return String(decoding: bytes[place..<place + count], as: UTF8.self)
  }

  /// The contents of the extra field of this kind.
  func extra(_ kind: Int, in range: Range<Int>) -> Range<Int>? {
    var place = range.lowerBound
    while place + 4 <= range.upperBound, let found = self[place, 2], let size = self[place + 2, 2] {
      let contents = place + 4..<place + 4 + size
      guard contents.upperBound <= range.upperBound else { return nil }
      if found == kind { return contents }
      place = contents.upperBound
    }
    return nil
  }
}
