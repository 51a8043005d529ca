/// A piece of text in a PNG file, with the word that says what it is.
public struct PNGText: Equatable, Sendable {
  /// 1 to 79 bytes of Latin-1, as the format has it.
  public let keyword: String
  /// Any characters; how they are stored depends on what they are.
  public let text: String

  /// Any texts; what a file cannot hold is refused when it is written.
  public init(keyword: String, text: String) { (self.keyword, self.text) = (keyword, text) }

  /// How a picture was made, under the keyword that image tools look for.
  public static func parameters(_ text: String) -> PNGText { PNGText(keyword: "parameters", text: text) }

  /// Whether tEXt can hold the text: each character is one byte of Latin-1. Pillow, which most tools use, has the same rule.
  var isLatin1: Bool { text.unicodeScalars.allSatisfy { $0.value <= 0xff } }

  /// - Throws: `ImageError.keyword` or `.textWithZero`.
  func check() throws(ImageError) {
    // PNG specification, third edition, 11.3.3.1.
    let scalars = keyword.unicodeScalars.map(\.value)
    let isPrintable = scalars.allSatisfy { (0x20...0x7e).contains($0) || (0xa1...0xff).contains($0) }
    let words = keyword.split(separator: " ", omittingEmptySubsequences: false)
    guard (1...79).contains(scalars.count), isPrintable, words.allSatisfy({ !$0.isEmpty }) else {
      throw ImageError(.keyword(keyword))
    }
    guard text.unicodeScalars.allSatisfy({ $0.value != 0 }) else { throw ImageError(.textWithZero(keyword: keyword)) }
  }

  static func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }

  static func text(latin1: UnsafeBufferPointer<UInt8>) -> String {
    var scalars = String.UnicodeScalarView()
    scalars.append(contentsOf: latin1.lazy.map { Unicode.Scalar($0) })
    return String(scalars)
  }
}
