import FoundationEssentials
import Tensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The files of a base checkpoint: which hold its weights, and what else belongs to it.
struct CheckpointFolder {
  /// A file with weights.
  struct Part {
    let contents: WeightFile
    let relativePath: String
    /// The network in the file, where its folder tells.
    let component: Component?
  }

  let isFolder: Bool
  private(set) var files: [Part] = []
  private(set) var companions: [String] = []
  private(set) var duplicates: [String] = []
  private(set) var warnings: [String] = []
  /// What tensors without a telling name belong to.
  private(set) var soleNetwork = Component.denoiser
  private(set) var denoiserClass: String?
  private(set) var languageModel: LanguageModelConfiguration?

  private let root: String

  static func isFolder(_ path: String) -> Bool {
    var isFolder = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
  }

  // MARK: One file

  /// - Throws: `CheckpointError` for a file that is only a part, or the error of its room.
  init(file path: String) throws {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let name = String(parts.last!)
    let folder = parts.count > 1 ? parts.dropLast().joined(separator: "/") : "."
    if name.hasSuffix(".index.json") || Self.isIndex(name) {
      // An index stands for its shards.
      isFolder = true
      root = folder
      let shards = try Self.shards(index: name, in: folder, root: folder, warnings: &warnings)
      for (shard, contents) in shards {
        files.append(Part(contents: contents, relativePath: shard, component: nil))
      }
      companions = [name]
      try readConfiguration(ofFolder: folder)
      return
    }
    isFolder = false
    root = folder
    if Self.isShard(name) { throw CheckpointError(.shard, path: path) }
    files = [Part(contents: try WeightFile(path: path), relativePath: name, component: nil)]
    // A lone file may lie in its own folder with its configuration, as `model.safetensors` does.
    if Self.isPlain(name) {
      try readConfiguration(ofFolder: folder)
    }
  }

  /// `model-00001-of-00005.safetensors`
  private static func isShard(_ name: String) -> Bool {
    guard let ending = Naming.all.map(\.ending).first(where: name.hasSuffix) else { return false }
    let words = name.dropping(suffix: ending).split(separator: "-")
    guard words.count >= 4, words[words.count - 2] == "of", let count = Int(words.last!) else { return false }
    return Int(words[words.count - 3]) != nil && count > 1
  }

  /// How weights of a container are called where loaders look for them.
  private struct Naming {
    let ending: String
    let stems: [String]

    static let all = [
      Naming(ending: ".safetensors", stems: ["diffusion_pytorch_model", "model"]),
      Naming(ending: ".bin", stems: ["diffusion_pytorch_model", "pytorch_model"]),
    ]
  }

  /// `model.safetensors` and the like, in no precision of its own.
  private static func isPlain(_ name: String) -> Bool {
    Naming.all.contains { naming in naming.stems.contains { $0 + naming.ending == name } }
  }

  /// Whether this is a list of shards: `model.safetensors.index.json`, `model.safetensors.index.fp16.json`.
  private static func isIndex(_ name: String) -> Bool {
    Naming.all.contains { name.includes($0.ending + ".index.") }
  }

  // MARK: Folders

  private static let components: [(folder: String, component: Component)] = [
    ("unet", .denoiser), ("transformer", .denoiser), ("prior", .denoiser), ("transformer_2", .denoiser2),
    ("text_encoder", .textEncoder1), ("text_encoder_2", .textEncoder2), ("text_encoder_3", .textEncoder3),
    ("vae", .vae),
  ]

  /// A pipeline's folder, or the folder of one model.
  init(path: String) throws {
    isFolder = true
    root = path.hasSuffix("/") && path.utf8.count > 1 ? String(path.dropLast()) : path
    let all = try Self.filesBelow(root)
    for file in all where !Self.isInside(root, file) {
      throw CheckpointError(.outsideFolder(file), path: root)
    }
    let folders = Self.components.filter { entry in all.contains { $0.hasPrefix(entry.folder + "/") } }
    var claimed: Set<String> = []
    if folders.isEmpty || all.contains(where: Self.isPlain) {
      try readConfiguration(ofFolder: root)
      try addWeights(in: "", component: nil, all: all, claimed: &claimed)
    } else {
      for (folder, component) in folders {
        if component == .denoiser {
          denoiserClass = try Self.configuration("\(root)/\(folder)")?["_class_name"]?.string
        }
        try addWeights(in: folder + "/", component: component, all: all, claimed: &claimed)
      }
    }
    guard !files.isEmpty else {
      let isElsewhere = all.contains(where: Self.holdsWeights)
      throw CheckpointError(
        .notACheckpoint(
          reason: isElsewhere
            ? "found weights only under names that loaders do not look for; hint: give the file itself"
            : "found a folder without diffusion_pytorch_model.safetensors or model.safetensors"), path: root)
    }
    let networks = Set(folders.map { $0.folder + "/" })
    for file in all where !claimed.contains(file) {
      let folder = networks.first { file.hasPrefix($0) }
      // Beside weights that were read, other weights of the same network are the same again.
      if Self.holdsWeights(file), folder != nil || !file.contains("/") {
        duplicates.append(file)
      } else {
        companions.append(file)
      }
    }
  }

  private static func holdsWeights(_ name: String) -> Bool {
    [".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".gguf"].contains {
      name.hasSuffix($0)
    }
      || isIndex(name)
  }

  /// Adds what a loader would read from a folder: an index, or else a file of one of the usual names.
  private mutating func addWeights(
    in folder: String, component: Component?, all: [String], claimed: inout Set<String>
  ) throws {
    for naming in Naming.all {
      for stem in naming.stems {
        let own = all.filter { $0.hasPrefix(folder + stem + ".") && !$0.dropFirst(folder.count).contains("/") }
        if try addWeights(called: stem + naming.ending, of: own, in: folder, component, &claimed) { return }
      }
    }
  }

  /// - Returns: whether there were any.
  private mutating func addWeights(
    called name: String, of own: [String], in folder: String, _ component: Component?, _ claimed: inout Set<String>
  ) throws -> Bool {
    let ending = String(name[name.lastIndex(of: ".")!...])
    let index =
      own.first { $0 == "\(folder)\(name).index.json" }
      ?? own.first { $0.includes("\(ending).index.") && $0.hasSuffix(".json") }
    let plain = own.first { $0 == folder + name }
    let variant = own.first { $0.hasSuffix(ending) }
    let isIndexed = index.map { !$0.includes(".index.fp") || plain == nil } ?? false
    if let index, isIndexed {
      claimed.insert(index)
      companions.append(index)
      let shards = try Self.shards(
        index: index.dropping(prefix: folder), in: "\(root)/\(folder)", root: root, warnings: &warnings)
      for (shard, contents) in shards where claimed.insert(folder + shard).inserted {
        files.append(Part(contents: contents, relativePath: folder + shard, component: component))
      }
      return true
    }
    guard let file = plain ?? variant else { return false }
    claimed.insert(file)
    let contents = try WeightFile(path: "\(root)/\(file)")
    files.append(Part(contents: contents, relativePath: file, component: component))
    return true
  }

  /// All regular files below a folder, sorted, as relative paths.
  private static func filesBelow(_ root: String) throws -> [String] {
    let manager = FileManager.default
    return try manager.subpathsOfDirectory(atPath: root).filter { path in
      var isFolder = false
      return manager.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder) && !isFolder
    }.sorted()
  }

  /// Whether a file really lies in the folder. The hub's cache is the exception: its snapshots link to the blobs beside.
  private static func isInside(_ root: String, _ path: String) -> Bool {
    guard let folder = real(root), let file = real("\(root)/\(path)") else { return true }
    if file.hasPrefix(folder + "/") { return true }
    guard folder.includes("/snapshots/") else { return false }
    return file.hasPrefix(folder.prefix(folder.offset(of: "/snapshots/", after: 0)) + "/blobs/")
  }

  private static func real(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  // MARK: Shards

  /// The shards that an index lists, in order, after checking that all tensors are where it says.
  private static func shards(
    index: String, in folder: String, root: String, warnings: inout [String]
  ) throws -> [(name: String, contents: WeightFile)] {
    let folder = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let path = "\(folder)/\(index)"
    guard let map = try object(path)?["weight_map"]?.object else {
      throw CheckpointError(.index(reason: "expected a weight_map, found none"), path: path)
    }
    var places: [String: String] = [:]
    for (tensor, place) in map {
      guard let shard = place.string else {
        throw CheckpointError(.index(reason: "\(tensor): expected a file's name"), path: path)
      }
      guard !shard.hasPrefix("/"), !shard.split(separator: "/").contains("..") else {
        throw CheckpointError(.outsideFolder(shard), path: path)
      }
      places[tensor] = shard
    }
    let shards = Set(places.values).sorted()
    guard !shards.isEmpty else { throw CheckpointError(.index(reason: "found no shards in it"), path: path) }
    return try shards.map { shard in
      guard access("\(folder)/\(shard)", F_OK) == 0 else { throw CheckpointError(.missingShard(shard), path: path) }
      guard isInside(folder, shard) || isInside(root, shard) else {
        throw CheckpointError(.outsideFolder(shard), path: path)
      }
      let contents = try WeightFile(path: "\(folder)/\(shard)")
      let names = Set(contents.entries.map(\.name))
      if let missing = places.filter({ $0.value == shard && !names.contains($0.key) }).keys.min() {
        throw CheckpointError(.missingTensor(name: missing, shard: shard), path: path)
      }
      let extra = names.filter { places[$0] != shard }
      if let first = extra.min() {
        warnings.append(
          "\(folder)/\(shard): \(first)\(extra.count > 1 ? " and \(extra.count - 1) more" : ""): not in the index; kept as it is"
        )
      }
      return (shard, contents)
    }
  }

  // MARK: Configurations

  private mutating func readConfiguration(ofFolder folder: String) throws {
    guard let fields = try Self.configuration(folder) else { return }
    denoiserClass = fields["_class_name"]?.string
    guard denoiserClass == nil else {
      if denoiserClass == "AutoencoderKL" { soleNetwork = .vae }
      return
    }
    languageModel = LanguageModelConfiguration(fields)
    if languageModel?.isTextEncoder == true { soleNetwork = .textEncoder1 }
  }

  private static func configuration(_ folder: String) throws -> [String: JSONValue]? {
    try object("\(folder)/config.json")
  }

  /// The JSON object in a file; `nil` when there is no file.
  static func object(_ path: String) throws -> [String: JSONValue]? {
    try JSONValue.object(inFile: path) {
      CheckpointError(.configuration(file: "content", reason: $0), path: path)
    }?.fields
  }
}
