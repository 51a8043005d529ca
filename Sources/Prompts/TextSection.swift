/// A part of a text for the tokenizer: one of the two special tokens spelled out, or what is between them.
enum TextSection: Equatable {
  case text(Substring)
  case begin
  case end

  static let beginSpelling = "<|startoftext|>"
  static let endSpelling = "<|endoftext|>"

  /// The sections of a text in order, without empty ones. Only the exact spelling is a special token; in other cases of
  /// letters it is text.
  static func sections(of text: String) -> [TextSection] {
    var sections: [TextSection] = []
    let bytes = text.utf8
    var start = bytes.startIndex
    var index = start
    while index < bytes.endIndex {
      let rest = bytes[index...]
      let found: (section: TextSection, length: Int)? =
        if rest.starts(with: beginSpelling.utf8) {
          (.begin, beginSpelling.utf8.count)
        } else if rest.starts(with: endSpelling.utf8) {
          (.end, endSpelling.utf8.count)
        } else {
          nil
        }
      guard let found else {
        bytes.formIndex(after: &index)
        continue
      }
      if start < index { sections.append(.text(text[start..<index])) }
      sections.append(found.section)
      bytes.formIndex(&index, offsetBy: found.length)
      start = index
    }
    if start < index { sections.append(.text(text[start..<index])) }
    return sections
  }
}
