import Platform

// The standard library's generic searches take microseconds for a short name, and an adapter has thousands.
extension String {
  /// Whether `part` occurs in the text, byte for byte.
  package func includes(_ part: String) -> Bool { strstr(self, part) != nil }

  /// Where `part` first occurs in the text's bytes at or after `start`; the end of the text when it does not.
  package func offset(of part: String, after start: Int) -> Int {
    withCString { text in
      let length = strlen(text)
      guard start <= length, let found = strstr(text + start, part) else { return length }
      return UnsafePointer(found) - text
    }
  }

  /// The text without the given beginning or end, counted in bytes: counting characters is slow.
  package func dropping(prefix: String) -> String { String(utf8.dropFirst(prefix.utf8.count)) ?? self }
  package func dropping(suffix: String) -> String { String(utf8.dropLast(suffix.utf8.count)) ?? self }

  /// The text with dots as underscores.
  package var underscored: String {
    String(decoding: utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
  }
}
