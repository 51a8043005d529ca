import TestSupport

private let numbers = "expected a list of whole numbers that are not negative"
private let a = HeaderCase.entry("a")

extension HeaderCase {
  private static let cut = "hint: the file is cut off or is not safetensors"
  private static let stopped = "hint: the download stopped early, fetch it again"
  private static let page =
    "content: expected a safetensors header, found an HTML page; hint: the download link gave a web page "
    + "(a login or error page), download the file itself"

  /// The rows of the format's table that are refused, each in all its forms.
  static let allRefused: [HeaderCase] = lengths + texts + fields + places + metadataFaults

  private static let lengths: [HeaderCase] = [
    HeaderCase(name: "an empty file", file: [], message: "header: expected at least 8 bytes, found 0; \(stopped)"),
    HeaderCase(
      name: "seven bytes", file: .init(repeating: 0, count: 7),
      message: "header: expected at least 8 bytes, found 7; \(stopped)"),
    HeaderCase(
      name: "a header longer than the file", file: RawSafetensors(header: "{}", declaredLength: 3).bytes,
      message: "header: expected 3 bytes, found 2; \(cut)"),
    HeaderCase(
      name: "a header beyond the limit", file: RawSafetensors(header: "{}", declaredLength: 100_000_001).bytes,
      message: "header: expected at most 100000000 bytes, found 100000001; hint: this is not a safetensors file"),
    HeaderCase(
      name: "a header at the limit in a short file",
      file: RawSafetensors(header: "{}", declaredLength: 100_000_000).bytes,
      message: "header: expected 100000000 bytes, found 2; \(cut)"),
    HeaderCase(
      name: "a header length above Int", file: RawSafetensors(header: "{}", declaredLength: .max).bytes,
      message:
        "header: expected at most 100000000 bytes, found 18446744073709551615; hint: this is not a safetensors file"),
    HeaderCase(
      name: "a web page", file: Array("\n <!DOCTYPE html><html><body>Sign in</body></html>".utf8), message: page),
    HeaderCase(name: "a web page without a doctype", file: Array("<HTML>".utf8), message: page),
    HeaderCase(name: "an XML error", file: Array("<?xml version=\"1.0\"?><Error/>".utf8), message: page),
  ]

  private static let texts: [HeaderCase] = [
    HeaderCase(
      name: "text that is not UTF-8", file: RawSafetensors(headerBytes: [0x7b, 0xff, 0x7d]).bytes,
      message: "header: the text is not UTF-8 at byte 8"),
    .refused("no text", "", 0, "header: expected { at byte 8"),
    .refused("a list", "[]", 0, "header: expected { at byte 8"),
    .refused("an object without an end", "{", 0, "header: expected a string at byte 9"),
    .refused(
      "zeros after the object", "{}\0\0", 0, "header: expected the end of the header, found more text at byte 10"),
    .refused("text after the object", "{} {}", 0, "header: expected the end of the header, found more text at byte 11"),
    .refused("a comma before the end", "{\(a),}", 4, "header: expected a string at byte 62"),
    .refused("no comma", "{\(a) \(entry("b", offsets: "[4,8]"))}", 8, "header: expected , or } at byte 62"),
    .refused("a key without a colon", "{\"a\" 1}", 0, "header: expected : after \"a\" at byte 13"),
    .refused(
      "a string without an end", "{\"a", 0,
      "header: expected the end of a string, found the end of the header at byte 11"),
    .refused(
      "a raw control character", "{\"a\nb\":1}", 0, "header: expected a string without control characters at byte 12"),
    .refused("an unknown escape", "{\"\\x\":1}", 0, "header: unknown escape at byte 12"),
    .refused("half an escape", "{\"\\", 0, "header: expected an escape at byte 11"),
    .refused("a short number escape", "{\"\\u12\":1}", 0, "header: expected four hexadecimal digits at byte 12"),
    .refused("a lone surrogate", "{\"\\ud83d\":1}", 0, "header: expected a pair of surrogates at byte 16"),
    .refused(
      "a wrong second surrogate", "{\"\\ud83d\\u0041\":1}", 0, "header: expected a pair of surrogates at byte 22"),
    .refused(
      "an extra field that is no JSON", "{\(entry("a", more: ",\"n\":+1"))}", 4, "header: expected a value at byte 65"),
    .refused(
      "an extra field nested too deeply", "{\(entry("a", more: ",\"n\":" + String(repeating: "[", count: 65)))}", 4,
      "header: values nested too deeply at byte 129"),
  ]

  private static let fields: [HeaderCase] = [
    .refused("an entry that is no object", "{\"a\":4}", 4, "a: expected an object with dtype, shape and data_offsets"),
    .refused("an unknown dtype", "{\(entry("a", dtype: "F31"))}", 4, "a: dtype: expected a known format, found F31"),
    .refused("a dtype that is no string", "{\"a\":{\"dtype\":32}}", 4, "a: dtype: expected a string"),
    .refused("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a: expected a dtype, found none"),
    .refused("no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "a: expected a shape, found none"),
    .refused("no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "a: data_offsets: expected two numbers"),
    .refused("three offsets", "{\(entry("a", offsets: "[0,4,4]"))}", 4, "a: data_offsets: expected two numbers"),
    .refused("a field twice", "{\(entry("a", more: ",\"shape\":[1]"))}", 4, "a: shape: expected one field, found two"),
    .refused("a negative extent", "{\(entry("a", shape: "[-1]"))}", 4, "a: shape: \(numbers)"),
    .refused("a fraction as extent", "{\(entry("a", shape: "[1.5]"))}", 4, "a: shape: \(numbers)"),
    .refused("a whole number written as a fraction", "{\(entry("a", shape: "[1.0]"))}", 4, "a: shape: \(numbers)"),
    .refused("an extent with a leading zero", "{\(entry("a", shape: "[01]"))}", 4, "a: shape: \(numbers)"),
    .refused("a shape that is no list", "{\(entry("a", shape: "1"))}", 4, "a: shape: \(numbers)"),
    .refused("a shape without an end", "{\(entry("a", shape: "[1"))}", 4, "a: shape: \(numbers)"),
    .refused("negative offsets", "{\(entry("a", offsets: "[-4,0]"))}", 4, "a: data_offsets: \(numbers)"),
    .refused(
      "an extent beyond Int", "{\(entry("a", shape: "[9223372036854775808]"))}", 4,
      "a: shape: the number is too large"),
    .refused(
      "a product beyond Int", "{\(entry("a", shape: "[4294967296,4294967296]"))}", 4,
      "a: shape: the number of elements is too large"),
    .refused(
      "a product beyond Int behind a zero", "{\(entry("a", shape: "[0,4611686018427387904,4]", offsets: "[0,0]"))}", 0,
      "a: shape: the number of elements is too large"),
    .refused(
      "more extents than any library takes",
      "{\(entry("a", shape: "[\(String(repeating: "1,", count: 64))1]"))}", 4,
      "a: shape: expected at most 64 numbers, found more"),
    .refused(
      "a name that nobody can read", "{\(entry(String(repeating: "a", count: 4097)))}", 4,
      "header: expected a name of at most 4096 bytes, found one of 4097 at byte 4109"),
    .refused(
      "more tensors than any model has",
      "{\((0...1 << 18).map { entry("\($0)", shape: "[0]", offsets: "[0,0]") }.joined(separator: ","))}", 0,
      "header: expected at most 262144 tensors, found more at byte 15093308"),
    .refused(
      "bits beyond Int", "{\(entry("a", dtype: "F64", shape: "[1152921504606846976]"))}", 4,
      "a: shape: the number of elements is too large"),
    .refused(
      "an end before the begin", "{\(entry("a", offsets: "[4,0]"))}", 4,
      "a: data_offsets: expected begin before end, found [4, 0]"),
    .refused(
      "more bytes than the shape needs", "{\(entry("a", offsets: "[0,8]"))}", 8, "a: data: expected 4 bytes, found 8"),
    .refused(
      "fewer bytes than the shape needs", "{\(entry("a", shape: "[2]"))}", 4, "a: data: expected 8 bytes, found 4"),
    .refused(
      "half a byte", "{\(entry("a", dtype: "F4", shape: "[3]", offsets: "[0,2]"))}", 2,
      "a: shape: expected whole bytes of F4, found 12 bits"),
  ]

  private static let places: [HeaderCase] = [
    .refused(
      "data that do not begin at 0", "{\(entry("a", offsets: "[4,8]"))}", 8,
      "a: data: expected to begin at 0, found 4; the file has unused bytes between tensors"),
    .refused(
      "a gap", "{\(a),\(entry("b", offsets: "[8,12]"))}", 12,
      "b: data: expected to begin at 4, found 8; the file has unused bytes between tensors"),
    .refused("an overlap", "{\(a),\(entry("b", offsets: "[2,6]"))}", 6, "b: data: overlaps with a"),
    .refused("the same range twice", "{\(a),\(entry("b"))}", 4, "b: data: overlaps with a"),
    .refused(
      "an empty tensor inside another", "{\(a),\(entry("b", shape: "[0]", offsets: "[2,2]"))}", 4,
      "b: data: overlaps with a"),
    .refused(
      "bytes after the last tensor", "{\(a)}", 5,
      "data: expected 4 bytes, found 5; the file has bytes after its last tensor"),
    .refused("data cut off", "{\(a)}", 3, "data: expected 4 bytes, found 3; \(stopped)"),
    .refused("a tensor name twice", "{\(a),\(a)}", 4, "a: expected one entry, found two with this name"),
  ]

  private static let metadataFaults: [HeaderCase] = [
    .refused("metadata that is no object", "{\"__metadata__\":[]}", 0, "__metadata__: expected an object of strings"),
    .refused(
      "a metadata value that is no string", "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k: expected a string"),
    .refused(
      "metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__: expected one entry, found two"),
    .refused(
      "metadata twice, null first", "{\"__metadata__\":null,\"__metadata__\":{}}", 0,
      "__metadata__: expected one entry, found two"),
  ]

  /// The rows that are accepted although a careful writer would not make them.
  static let allAccepted: [HeaderCase] = [
    .accepted("no tensors", "{}", 0),
    .accepted("metadata only", "{\"__metadata__\":{\"k\":\"v\"}}", 0),
    .accepted("metadata null", "{\"__metadata__\":null,\(a)}", 4),
    .accepted("empty metadata", "{\"__metadata__\":{}}", 0),
    .accepted("spaces after the object", "{\(a)} \t\r\n", 4),
    .accepted("a space before the object", " {\(a)}", 4, warnings: ["the header does not begin with {"]),
    .accepted(
      "a metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0,
      warnings: ["metadata key k occurs twice; the last value counts"]),
    .accepted("extra fields", "{\(entry("a", more: ",\"x\":{\"y\":[1,-2.5e+3,true,false,null,\"z\",{}]}"))}", 4),
    .accepted("header order unlike data order", "{\(entry("b", offsets: "[4,8]")),\(a)}", 8),
    .accepted(
      "a header length and tensors that are not aligned",
      "{\(entry("b", dtype: "U8", offsets: "[0,1]")),\(entry("a", offsets: "[1,5]"))}", 5),
    .accepted("a tensor of no elements", "{\(entry("a", shape: "[3,0,2]", offsets: "[0,0]"))}", 0),
    .accepted(
      "two tensors of no elements at one place",
      "{\(entry("a", shape: "[0]", offsets: "[0,0]")),\(entry("b", shape: "[0]", offsets: "[0,0]"))}", 0),
    .accepted("a scalar", "{\(entry("a", shape: "[]"))}", 4),
    .accepted("an empty name", "{\(entry(""))}", 4),
    .accepted(
      "packed formats in whole bytes",
      "{\(entry("a", dtype: "F4", shape: "[2]", offsets: "[0,1]")),"
        + "\(entry("b", dtype: "F6_E2M3", shape: "[4]", offsets: "[1,4]"))}",
      4),
  ]
}
