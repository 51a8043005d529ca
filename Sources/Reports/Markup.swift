/// Text from strangers, made harmless where markup is read.
///
/// All of it goes by Unicode scalars: to a browser a quotation mark ends an attribute even where a combining mark
/// follows it, while the `Character` of both is not a quotation mark.
extension String {
  /// Safe inside the text and the quoted attributes of HTML, XML and SVG.
  ///
  /// Characters that steer become U+FFFD.
  var escaped: String {
    var text = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      case "'": text += "&#39;"
      case "\n", "\t", "\r": text.unicodeScalars.append(scalar)
      default: text.unicodeScalars.append(scalar.steers ? "\u{fffd}" : scalar)
      }
    }
    return text
  }

  /// Without line breaks and other characters that steer, terminals above all: spaces stand in their places.
  var oneLine: String { String(String.UnicodeScalarView(unicodeScalars.map { $0.steers ? " " : $0 })) }

  /// On one line of Markdown, as text: nothing in it is markup, a link, or the end of a table's cell.
  var markdown: String {
    var text = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\\", "`", "*", "_", "[", "]", "|", "~", "$", "#", "!":
        text += "\\"
        text.unicodeScalars.append(scalar)
      case "<", ">", "&": text += String(scalar).escaped
      default: text.unicodeScalars.append(scalar.steers ? " " : scalar)
      }
    }
    // GitHub makes links of bare addresses.
    return text.replacing("://", with: "\\://").replacing("www.", with: "www\\.")
  }

  /// A relative path as the target of a link in Markdown.
  var markdownTarget: String {
    utf8.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"),
        UInt8(ascii: "_"):
        String(UnicodeScalar(byte))
      default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }.joined()
  }

  /// One argument of a shell's command line.
  var shellArgument: String {
    let plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%".unicodeScalars
    if !isEmpty, unicodeScalars.allSatisfy({ plain.contains($0) }) { return self }
    var text = "'"
    for scalar in unicodeScalars {
      if scalar == "'" { text += "'\\'" }
      text.unicodeScalars.append(scalar)
    }
    return text + "'"
  }
}

extension Unicode.Scalar {
  /// Whether it acts on what stands around it and is not seen itself: controls, line breaks, turns of the direction of
  /// writing (which would also turn our own words), and what XML cannot hold.
  fileprivate var steers: Bool {
    switch self {
    case "\u{0}"..<" ", "\u{7f}"..."\u{9f}", "\u{2028}"..."\u{202e}", "\u{2066}"..."\u{2069}", "\u{fffe}", "\u{ffff}":
      true
    default: false
    }
  }
}
