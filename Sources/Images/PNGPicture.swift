import CPNG
import Platform

/// What a PNG file holds: its picture and its texts.
///
/// Every kind of PNG is read: grey, palette and colour, 1 to 16 bits, interlaced or not. Levels of other than 8 bits are
/// scaled to 0...255 and rounded. Pixels that are not opaque are laid over white. Gamma, colour profiles and an orientation
/// are ignored, as are bytes after the end of the picture.
public struct PNGPicture: Sendable {
  /// The pixels with 8 bits, without transparency.
  public let image: RGBImage
  /// In the order of the file.
  public let texts: [PNGText]

  /// The longest file: what `RGBImage.maximumPixels` need with 8 bits and alpha where nothing compresses, and twice that.
  private static let maximumBytes = 1 << 30

  /// The first text with this keyword.
  public func text(_ keyword: String) -> String? { texts.first { $0.keyword == keyword }?.text }

  /// How the picture was made, where an image tool has noted it.
  public var parameters: String? { text("parameters") }

  /// Reads a file.
  ///
  /// - Throws: `ImageError`, with the path.
  public init(path: String) throws(ImageError) {
    let bytes = try Self.contents(of: path)
    self = try bytes.withUnsafeBufferPointer { bytes throws(ImageError) in try PNGPicture(bytes, path: path) }
  }

  /// Reads a file that lies in memory.
  ///
  /// - Throws: `ImageError`, without a path.
  public init(_ data: [UInt8]) throws(ImageError) {
    self = try data.withUnsafeBufferPointer { bytes throws(ImageError) in try PNGPicture(bytes, path: nil) }
  }

  private init(_ data: UnsafeBufferPointer<UInt8>, path: String?) throws(ImageError) {
    if let found = FileKind(data).differenceFromPNG { throw ImageError(.notPNG(found: found), path: path) }
    var source = lathe_png_source()
    source.bytes = data.baseAddress
    source.length = data.count
    defer { lathe_png_close(&source) }
    guard lathe_png_open(&source) == 1 else { throw Self.error(source, path: path) }
    let (width, height, channels) = (Int(source.width), Int(source.height), Int(source.channels))
    // The product of two numbers below 2³¹ fits.
    guard width * height <= RGBImage.maximumPixels else {
      throw ImageError(.tooManyPixels(width: width, height: height), path: path)
    }
    var isRead: Int32 = 0
    var pixels = [UInt8](unsafeUninitializedCapacity: width * height * channels) { target, count in
      isRead = lathe_png_read(&source, target.baseAddress)
      count = isRead == 1 ? width * height * channels : 0
    }
    guard isRead == 1 else { throw Self.error(source, path: path) }
    if channels == 4 { Self.layOverWhite(&pixels) }
    image = RGBImage(width: width, height: height, bytes: pixels)
    texts = try Self.texts(&source, path: path)
  }

  /// RGBA to RGB in place: level · alpha + white · (1 - alpha), rounded.
  private static func layOverWhite(_ pixels: inout [UInt8]) {
    let count = pixels.count / 4
    pixels.withUnsafeMutableBufferPointer { pixels in
      for pixel in 0..<count {
        let alpha = UInt32(pixels[4 * pixel + 3])
        for channel in 0..<3 {
          let sum = UInt32(pixels[4 * pixel + channel]) * alpha + 255 * (255 - alpha)
          pixels[3 * pixel + channel] = UInt8((sum + 127) / 255)
        }
      }
    }
    pixels.removeLast(count)
  }

  private static func texts(_ source: inout lathe_png_source, path: String?) throws(ImageError) -> [PNGText] {
    var entries: png_textp?
    let count = Int(lathe_png_texts(&source, &entries))
    var texts: [PNGText] = []
    for entry in UnsafeBufferPointer(start: entries, count: count) {
      guard let key = entry.key, let start = entry.text else { continue }
      let keyword = PNGText.text(latin1: characters(key))
      let bytes = characters(start)
      let isUTF8 = entry.compression == PNG_ITXT_COMPRESSION_NONE || entry.compression == PNG_ITXT_COMPRESSION_zTXt
      guard let text = isUTF8 ? String(validating: bytes, as: UTF8.self) : PNGText.text(latin1: bytes) else {
        throw ImageError(.textNotUTF8(keyword: keyword), path: path)
      }
      texts.append(PNGText(keyword: keyword, text: text))
    }
    return texts
  }

  /// The bytes of a C string, less the zero.
  private static func characters(_ start: UnsafeMutablePointer<CChar>) -> UnsafeBufferPointer<UInt8> {
    let count = strlen(start)
    return UnsafeBufferPointer(start: UnsafeRawPointer(start).assumingMemoryBound(to: UInt8.self), count: count)
  }

  /// What libpng's words mean. They begin with the name of a chunk where the fault is in one.
  private static func error(_ source: lathe_png_source, path: String?) -> ImageError {
    let reason = source.message.map { String(cString: $0) } ?? "out of memory"
    let checksum = ": CRC error"
    return switch () {
    case _ where source.is_cut_off == 1: ImageError(.cutOff(bytes: source.length), path: path)
    case _ where reason.hasSuffix(checksum):
      ImageError(.checksum(chunk: String(reason.dropLast(checksum.count).suffix(4))), path: path)
    default: ImageError(.malformed(reason: reason), path: path)
    }
  }

  private static func contents(of path: String) throws(ImageError) -> [UInt8] {
    func systemError(_ operation: String) -> ImageError {
      let code = errno
      guard code != ENOENT else { return ImageError(.missing, path: path) }
      return ImageError(.system(operation: operation, reason: String(cString: strerror(code))), path: path)
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError("open") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw systemError("read") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ImageError(.notAFile, path: path) }
    let size = Int(status.st_size)
    guard size <= maximumBytes else { throw ImageError(.fileTooLarge(bytes: size, limit: maximumBytes), path: path) }
    var failure: ImageError?
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { target, count in
      while count < size {
        let taken = read(descriptor, target.baseAddress! + count, size - count)
        if taken < 0, errno == EINTR { continue }
        if taken < 0 { failure = systemError("read") }
        // A file that has become shorter meanwhile is judged by what it holds now.
        guard taken > 0 else { return }
        count += taken
      }
    }
    if let failure { throw failure }
    return bytes
  }
}
