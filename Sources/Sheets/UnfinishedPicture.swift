import Files
import Foundation
import Images

/// The picture that shows how far the work is, and goes away with it.
final class UnfinishedPicture {
  private let path: String
  private let overwrites: Bool
  /// Once it is there: before that another's file may have the name.
  private var registration: Interruption.Token?

  init(path: String, overwriting: Bool) { (self.path, overwrites) = (path, overwriting) }

  func show(_ image: RGBImage) throws {
    let earlier = registration
    registration = try TemporaryFile.picture(image, for: path, overwriting: overwrites || earlier != nil)
      .commitUnfinished()
    if let earlier { Interruption.forget(earlier) }
  }

  func remove() {
    guard let registration else { return }
    Interruption.uninterrupted {
      unlink(path)
      Interruption.forget(registration)
    }
    self.registration = nil
  }
}

extension TemporaryFile {
  /// A PNG file that does not have its name yet.
  static func picture(
    _ image: RGBImage, texts: [PNGText] = [], for path: String, overwriting: Bool
  ) throws -> TemporaryFile {
    let bytes = try image.pngData(texts: texts)
    let file = try TemporaryFile(for: path, overwriting: overwriting)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    return file
  }
}
