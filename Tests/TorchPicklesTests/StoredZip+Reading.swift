import Files
import TestSupport
import TorchPickles

extension StoredZip {
  /// What reading gives.
  func read(in folder: TemporaryFolder, name: String = "adapter.pt") throws -> TorchPickle {
    try TorchPickle(MappedFile(path: folder.write(bytes, to: name)))
  }

  /// The message of the refusal after the file's name, or "accepted".
  func refusal(in folder: TemporaryFolder) throws -> String {
    do {
      _ = try read(in: folder)
      return "accepted"
    } catch let error as TorchPickleError {
      return String(String(describing: error).dropFirst("\(folder.file("adapter.pt")): ".count))
    }
  }
}
