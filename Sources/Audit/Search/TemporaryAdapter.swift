import Files
import Foundation
import Platform

/// An adapter that is looked at once, and is gone even when the process is told to stop.
final class TemporaryAdapter {
  let path: String
  private let folder: String
  private let registrations: [Interruption.Token]

  /// - Throws: `FileError.notWritable`.
  init(isFolder: Bool) throws {
    var template = Array("\(FileManager.default.temporaryDirectory.path)/lathe-XXXXXX".utf8CString)
    // A folder of its own: nobody else has names in it.
    let (folder, path, registrations) = Interruption.uninterrupted {
      guard mkdtemp(&template) != nil else { return ("", "", [Interruption.Token]()) }
      let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let path = isFolder ? "\(folder)/try" : "\(folder)/try.safetensors"
      let contents = isFolder ? ["adapter_config.json", "adapter_model.safetensors"].map { "\(path)/\($0)" } : []
      return (folder, path, ([folder, path] + contents).map { Interruption.register($0) })
    }
    guard !registrations.isEmpty else {
      throw FileError(.notWritable(reason: systemReason()), path: FileManager.default.temporaryDirectory.path)
    }
    (self.folder, self.path, self.registrations) = (folder, path, registrations)
  }

  func remove() {
    try? FileManager.default.removeItem(atPath: folder)
    for registration in registrations { Interruption.forget(registration) }
  }
}
