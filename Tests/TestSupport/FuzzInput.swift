import Tensors

/// What the fuzz targets make of their input: files whose frame is right, so that what is in it is looked at.
///
/// A fuzzer that changes one byte of a whole file breaks a length or a checksum nearly always, and sees only the first
/// check of a reader. Inputs that are whole files are taken as they are too.
public enum FuzzInput {
  /// A text that begins with `{` becomes a safetensors file with this header, and as many bytes as it asks for.
  public static func safetensors(_ input: [UInt8]) -> [UInt8] {
    guard input.first == UInt8(ascii: "{") else { return input }
    return RawSafetensors(headerBytes: input, data: [UInt8](repeating: 0x3c, count: largestNumber(in: input))).bytes
  }

  /// What begins neither like an archive nor like torch's old format becomes the program of an archive with three storages.
  public static func pickle(_ input: [UInt8]) -> [UInt8] {
    guard !input.starts(with: [0x50, 0x4b]), !input.starts(with: [0x80, 2, 0x8a, 10]) else { return input }
    let storage = (0..<64).map { UInt8($0) }
    return StoredZip.torch(input, storages: ["0": storage, "1": storage, "2": []]).bytes
  }

  /// An adapter, written in lines: `name|F32|4,2` is a tensor, `@key=value` an entry of the metadata, and `!` begins the
  /// text of adapter_config.json. Tensors get bytes that are small numbers in all formats.
  ///
  /// - Returns: a safetensors file, and the configuration. `nil` for tensors that no file could hold.
  public static func adapter(_ input: [UInt8]) -> (file: [UInt8], configuration: String?)? {
    var header: [String] = [], metadata: [String] = [], configuration: String?, place = 0
    for line in input.split(separator: 0x0a) {
      let text = String(decoding: line.dropFirst(), as: UTF8.self)
      switch line.first {
      case UInt8(ascii: "@"):
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        metadata.append("\(quoted(parts[0])):\(quoted(parts.count > 1 ? parts[1] : ""))")
      case UInt8(ascii: "!"): configuration = text
      default:
        let parts = String(decoding: line, as: UTF8.self).split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 3, let dtype = DType(rawValue: String(parts[1])) else { continue }
        let extents = parts[2].split(separator: ",").compactMap { Int($0) }
        guard let count = Shape.elementCount(of: extents), count <= 1 << 16 else { return nil }
        let end = place + count * dtype.bits / 8
        header.append(
          "\(quoted(String(parts[0]))):{\"dtype\":\"\(dtype.rawValue)\",\"shape\":\(Shape(extents)),"
            + "\"data_offsets\":[\(place),\(end)]}")
        place = end
      }
    }
    if !metadata.isEmpty { header.insert("\"__metadata__\":{\(metadata.joined(separator: ","))}", at: 0) }
    let file = RawSafetensors(
      header: "{\(header.joined(separator: ","))}", data: [UInt8](repeating: 0x3c, count: place))
    return (file.bytes, configuration)
  }

  /// The chunks of a PNG get their right checksums, as far as their lengths lead.
  public static func png(_ input: [UInt8]) -> [UInt8] {
    var file = input, start = 8
    while file.count - start >= 12 {
      let length = file[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
      guard length <= file.count - start - 12 else { break }
      let end = start + 8 + length
      file.replaceSubrange(end..<end + 4, with: StoredZip.four(StoredZip.crc(Array(file[start + 4..<end]))).reversed())
      start = end + 4
    }
    return file
  }

  /// The merges of a tokenizer, and behind a zero its vocabulary.
  public static func tokenizer(_ input: [UInt8]) -> (merges: String, vocabulary: String?) {
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    let texts = parts.map { String(decoding: $0, as: UTF8.self) }
    return (texts[0], texts.count == 2 ? texts[1] : nil)
  }

  /// A baked checkpoint with the names and shapes that the undo files among the seeds are of; all its numbers are 0.
  public static let baked: [UInt8] = {
    let shapes = [
      ("lm_head", 8), ("model.layers.0.self_attn.k_proj", 32), ("model.layers.0.self_attn.q_proj", 32),
    ]
    var header: [String] = [], place = 0
    for (name, rows) in shapes {
      let end = place + rows * 32 * 2
      header.append("\"\(name).weight\":{\"dtype\":\"F16\",\"shape\":[\(rows),32],\"data_offsets\":[\(place),\(end)]}")
      place = end
    }
    return RawSafetensors(header: "{\(header.joined(separator: ","))}", data: [UInt8](repeating: 0, count: place)).bytes
  }()

  private static func quoted(_ text: String) -> String {
    let harmless = text.unicodeScalars.map { $0 == "\"" || $0 == "\\" || $0.value < 0x20 ? "?" : String($0) }
    return "\"\(harmless.joined())\""
  }

  /// The largest number of a header, as far as a file of that size is worth making.
  private static func largestNumber(in text: [UInt8]) -> Int {
    text.split { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      .compactMap { Int(String(decoding: $0, as: UTF8.self)) }.filter { $0 <= 1 << 16 }.max() ?? 0
  }
}
