#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// The standard library's generic searches take microseconds for a short name, and an adapter has thousands.
extension String {
  /// Whether `part` occurs in the text, byte for byte.
  func includes(_ part: String) -> Bool { strstr(self, part) != nil }

  /// The text with dots as underscores.
  var underscored: String {
    String(decoding: utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
  }
}
