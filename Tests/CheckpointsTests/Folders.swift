import FoundationEssentials
import TestSupport

extension TemporaryFolder {
  func makeFolder(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: file(name), withIntermediateDirectories: true)
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: file(name)) }

  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

  func link(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: file(name), withDestinationPath: target)
  }

  /// Writes a file of small tensors of the given names.
  func writeTensors(_ names: [String], to name: String) throws {
    try writeAdapter(to: file(name), tensors: names.map { filler($0, [2, 2]) })
  }

  /// Writes the index of a sharded checkpoint.
  func writeIndex(_ places: [String: String], to name: String = "model.safetensors.index.json") throws {
    let entries = places.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ")
    try write("{\"metadata\": {}, \"weight_map\": {\(entries)}}", to: name)
  }
}
