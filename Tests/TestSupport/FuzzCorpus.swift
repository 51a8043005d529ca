import FoundationEssentials

/// Inputs that fuzzing found: what once brought a reader down, and what led it to places that few others reach.
public enum FuzzCorpus {
  /// The inputs of `Tests/Fuzz/corpus/TARGET` and `Tests/Fuzz/seeds/TARGET`, with their names.
  public static func inputs(_ target: String) throws -> [(name: String, bytes: [UInt8])] {
    try ["corpus", "seeds"].flatMap { folder in
      let path = Goldens.root.appending(path: "Tests/Fuzz/\(folder)/\(target)").path()
      guard FileManager.default.fileExists(atPath: path) else { return [(name: String, bytes: [UInt8])]() }
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { name in
        (name, Array(try Data(contentsOf: URL(filePath: "\(path)/\(name)"))))
      }
    }
  }
}
