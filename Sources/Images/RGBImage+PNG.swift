import CPNG

extension RGBImage {
  /// The picture as a PNG file: 8 bits, RGB, no times and no colour profile, texts before the pixels. With the same libpng
  /// and zlib, equal pictures with equal texts are equal bytes.
  ///
  /// Texts of Latin-1 characters become tEXt chunks, others iTXt in UTF-8; neither is compressed, so that every tool can
  /// read them.
  ///
  /// - Throws: `ImageError`: `tooManyPixels`, `keyword`, `textWithZero`, or `writing` when there is no memory.
  public func pngData(texts: [PNGText] = []) throws(ImageError) -> [UInt8] {
    guard width * height <= Self.maximumPixels else { throw ImageError(.tooManyPixels(width: width, height: height)) }
    var sink = lathe_png_sink()
    defer { lathe_png_end(&sink) }
    // Level 2, with the filter of each row chosen among all: 9 % larger than zlib's usual level 6, at a fifth of its time
    // (a photograph of 1024x1024).
    try Self.check(lathe_png_begin(&sink, UInt32(width), UInt32(height), 2), sink)
    for text in texts {
      try text.check()
      let bytes = text.isLatin1 ? PNGText.latin1(text.text) : Array(text.text.utf8)
      let keyword = PNGText.latin1(text.keyword)
      let isAdded = (keyword + [0]).withUnsafeBufferPointer { keyword in
        (bytes + [0]).withUnsafeBufferPointer { bytes in
          keyword.withMemoryRebound(to: CChar.self) { keyword in
            bytes.withMemoryRebound(to: CChar.self) { bytes in
              lathe_png_add_text(&sink, keyword.baseAddress, bytes.baseAddress, text.isLatin1 ? 0 : 1)
            }
          }
        }
      }
      try Self.check(isAdded, sink)
    }
    let isWritten = bytes.withUnsafeBufferPointer { lathe_png_write(&sink, $0.baseAddress) }
    try Self.check(isWritten, sink)
    return Array(UnsafeBufferPointer(start: sink.bytes, count: sink.count))
  }

  private static func check(_ success: Int32, _ sink: lathe_png_sink) throws(ImageError) {
    guard success == 0 else { return }
    throw ImageError(.writing(reason: sink.message.map { String(cString: $0) } ?? "out of memory"))
  }
}
