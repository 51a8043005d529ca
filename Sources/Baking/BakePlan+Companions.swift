import Files
import Foundation
import JSON
import Tensors

extension BakePlan {
  /// The companions whose text changes, by path: indices of shards, when the output does without some tensors or stores
  /// them in another format.
  func changedCompanions() throws -> [(path: String, old: Bytes, new: String)] {
    guard
      base.weights.indices.contains(where: { outputs[$0] == nil || stored($0).dtype != base.weights[$0].stored.dtype })
        || base.files.contains(where: { $0.contents.safetensors == nil })
    else { return [] }
    return try base.companions.filter { $0.contains(".safetensors.index.") || $0.contains(".bin.index.") }.compactMap {
      path in
      let bytes = try MappedFile(path: "\(base.folder)/\(path)").bytes
      let text = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
      guard let old = JSONValue(parsing: text)?.object, let new = index(old, at: path), new != old else { return nil }
      return (path, bytes, JSONValue.object(new).text + "\n")
    }
  }

  /// What a file of the base's folder is called in the output, which is safetensors:
  /// `text_encoder/pytorch_model.bin` becomes `text_encoder/model.safetensors`.
  static func outputPath(of path: String) -> String {
    let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    var name = String(path[slash...])
    guard name.hasSuffix(".bin") || name.contains(".bin.index.") else { return path }
    if name.hasPrefix("pytorch_model") { name = name.dropping(prefix: "pytorch_") }
    name = name.replacing(".bin.index.", with: ".safetensors.index.")
    if name.hasSuffix(".bin") { name = name.dropping(suffix: ".bin") + ".safetensors" }
    return path[..<slash] + name
  }

  /// An index of shards as the output has it.
  private func index(_ fields: [String: JSONValue], at path: String) -> [String: JSONValue]? {
    guard let map = fields["weight_map"]?.object else { return nil }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let shards = Set(map.values.compactMap { $0.string.map { folder + $0 } })
    var dropped: Set<String> = [], bytes = 0
    var renamed: [String: String] = [:]
    for (index, weight) in base.weights.enumerated() where shards.contains(base.files[weight.file].relativePath) {
      guard outputs[index] != nil else {
        dropped.insert(weight.stored.name)
        continue
      }
      let (name, dtype, shape) = stored(index)
      bytes += shape.elementCount * dtype.bits / 8
      if name != weight.stored.name { renamed[weight.stored.name] = name }
    }
    var result = fields
    result["weight_map"] = .object(
      Dictionary(
        uniqueKeysWithValues: map.filter { !dropped.contains($0.key) }.map { name, place in
          (renamed[name] ?? name, place.string.map { .string(Self.outputPath(of: $0)) } ?? place)
        }))
    if var metadata = fields["metadata"]?.object, metadata["total_size"] != nil {
      metadata["total_size"] = .int(bytes)
      result["metadata"] = .object(metadata)
    }
    return result
  }
}
