import Files
import FoundationEssentials
import JSON
import Models
import Platform
import Tensors

/// The files of a base checkpoint: which hold its weights, and what else belongs to it.
struct CheckpointFolder {
  /// A file with weights.
  struct Part {
    let contents: WeightFile
    let relativePath: String
    /// The network in the file, where its folder tells.
    let component: Component?
    /// What stands before its tensors' names in the network that they are a part of.
    var level = ""
    /// Names of tensors that no index speaks of.
    var unlisted: Set<String> = []
    /// What the configuration beside it says about how weights are stored.
    var quantisation: QuantisationSettings?
  }

  /// A file that an index names.
  private struct Shard {
    let name: String
    let contents: WeightFile
    /// Names of its tensors that the index does not have.
    let unlisted: Set<String>
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
      for shard in try Self.shards(index: name, in: folder, root: folder) {
        files.append(
          Part(contents: shard.contents, relativePath: shard.name, component: nil, unlisted: shard.unlisted))
      }
      warnings = files.compactMap { Self.warning($0, in: folder) }
      companions = [name]
      try readConfiguration(ofFolder: folder)
      try readQuantisation(ofFolder: folder, from: 0)
      return
    }
    isFolder = false
    root = folder
    if Self.isShard(name) { throw CheckpointError(.shard, path: path) }
    files = [Part(contents: try WeightFile(path: path), relativePath: name, component: nil)]
    // A lone file may lie in its own folder with its configuration, as `model.safetensors` does.
    if Self.isPlain(name) {
      try readConfiguration(ofFolder: folder)
      try readQuantisation(ofFolder: folder, from: 0)
    }
  }

  /// `model-00001-of-00005.safetensors`: numbers of fewer digits are part of a name that somebody has chosen.
  private static func isShard(_ name: String) -> Bool {
    guard let ending = Naming.all.map(\.ending).first(where: name.hasSuffix) else { return false }
    let words = name.dropping(suffix: ending).split(separator: "-")
    guard words.count >= 4, words[words.count - 2] == "of", let count = Int(words.last!) else { return false }
    let number = words[words.count - 3]
    return Int(number) != nil && count > 1 && number.count >= 5 && words.last!.count >= 5
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

  /// Tensors in memory, as one file that holds the networks that their names tell, without a folder.
  init(_ contents: WeightFile) {
    isFolder = false
    root = "."
    files = [Part(contents: contents, relativePath: contents.path, component: nil)]
  }

  // MARK: Folders

  private static let components: [(folder: String, component: Component)] =
    [
      ("unet", .denoiser), ("transformer", .denoiser), ("prior", .denoiser), ("transformer_2", .denoiser2),
      ("text_encoder", .textEncoder1), ("text_encoder_2", .textEncoder2), ("text_encoder_3", .textEncoder3),
      ("vae", .vae),
    ] + parts.map { ($0, .denoiser) }

  /// Folders of what is part of the denoiser in a single file: its names begin with the folder's there.
  private static let parts = ["text_conditioner", "connectors"]

  /// A pipeline's folder, or the folder of one model.
  init(path: String) throws {
    isFolder = true
    root = path.hasSuffix("/") && path.utf8.count > 1 ? String(path.dropLast()) : path
    InputFiles.protect(folder: root, isDeep: true)
    let all = try Self.filesBelow(root)
    for file in all where !Self.isInside(root, file) {
      throw CheckpointError(.outsideFolder(file), path: root)
    }
    let folders = Self.components.filter { entry in all.contains { $0.hasPrefix(entry.folder + "/") } }
    var claimed: Set<String> = []
    if folders.isEmpty || all.contains(where: Self.isPlain) {
      try readConfiguration(ofFolder: root)
      try addWeights(in: "", component: nil, all: all, claimed: &claimed)
      try readQuantisation(ofFolder: root, from: 0)
    } else {
      for (folder, component) in folders {
        let fields = try Self.object("\(root)/\(folder)/config.json"), first = files.count
        if component == .denoiser, !Self.parts.contains(folder) { denoiserClass = fields?["_class_name"]?.string }
        try addWeights(in: folder + "/", component: component, all: all, claimed: &claimed)
        try readQuantisation(ofFolder: "\(root)/\(folder)", from: first)
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
      let shards = try Self.shards(index: index.dropping(prefix: folder), in: "\(root)/\(folder)", root: root)
      for shard in shards where claimed.insert(folder + shard.name).inserted {
        let part = Part(
          contents: shard.contents, relativePath: folder + shard.name, component: component, level: Self.level(folder),
          unlisted: shard.unlisted)
        files.append(part)
        warnings += [Self.warning(part, in: root)].compactMap { $0 }
      }
      return true
    }
    guard let file = plain ?? variant else { return false }
    claimed.insert(file)
    let contents = try WeightFile(path: "\(root)/\(file)")
    files.append(Part(contents: contents, relativePath: file, component: component, level: Self.level(folder)))
    return true
  }

  private static func level(_ folder: String) -> String {
    parts.contains { $0 + "/" == folder } ? folder.dropping(suffix: "/") + "." : ""
  }

  /// All regular files below a folder, sorted, as relative paths. Links to folders are not followed.
  ///
  /// - Throws: `CheckpointError.linkedFolder` where a network lies behind one: it would not be found.
  private static func filesBelow(_ root: String) throws -> [String] {
    // Of a link to the folder itself a listing has nothing.
    guard let folder = real(root), let paths = try? FileManager.default.subpathsOfDirectory(atPath: folder) else {
      throw FileError(.system(operation: "list", reason: systemReason()), path: root)
    }
    return try paths.filter { path in
      var status = stat(), own = stat()
      guard stat("\(folder)/\(path)", &status) == 0 else { return false }
      let isLink = lstat("\(folder)/\(path)", &own) == 0 && own.st_mode & S_IFMT == S_IFLNK
      if status.st_mode & S_IFMT == S_IFDIR, isLink, components.contains(where: { $0.folder == path }) {
        throw CheckpointError(.linkedFolder(path), path: root)
      }
      return status.st_mode & S_IFMT == S_IFREG
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
  private static func shards(index: String, in folder: String, root: String) throws -> [Shard] {
    let folder = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let path = "\(folder)/\(index)"
    guard let map = try object(path)?["weight_map"]?.object else {
      throw CheckpointError(.index(reason: "expected a weight_map, found none"), path: path)
    }
    let places = try places(map, index: path)
    let shards = Set(places.values).sorted()
    guard !shards.isEmpty else { throw CheckpointError(.index(reason: "found no shards in it"), path: path) }
    let files = try shards.map { shard in
      guard access("\(folder)/\(shard)", F_OK) == 0 else { throw CheckpointError(.missingShard(shard), path: path) }
      guard isInside(folder, shard) || isInside(root, shard) else {
        throw CheckpointError(.outsideFolder(shard), path: path)
      }
      return (name: shard, contents: try WeightFile(path: "\(folder)/\(shard)"))
    }
    try requireAgreement(of: places, with: files, index: path)
    return files.map { shard in
      Shard(
        name: shard.name, contents: shard.contents,
        unlisted: Set(shard.contents.entries.map(\.name).filter { places[$0] == nil }))
    }
  }

  private static func warning(_ part: Part, in root: String) -> String? {
    part.unlisted.min().map { first in
      let more = part.unlisted.count > 1 ? " and \(part.unlisted.count - 1) more" : ""
      return "\(root)/\(part.relativePath): \(first)\(more): not in the index; kept as it is"
    }
  }

  /// The file of each tensor as an index says, each file under one name.
  private static func places(_ map: [String: JSONValue], index path: String) throws -> [String: String] {
    var places: [String: String] = [:]
    // In a fixed order, so that the same fault is told each time.
    for tensor in map.keys.sorted() {
      guard let shard = map[tensor]!.string, !shard.utf8.contains(0) else {
        throw CheckpointError(.index(reason: "\(tensor): expected a file's name"), path: path)
      }
      let levels = shard.split(separator: "/")
      guard !shard.hasPrefix("/"), !levels.contains("..") else {
        throw CheckpointError(.outsideFolder(shard), path: path)
      }
      places[tensor] = levels.filter { $0 != "." }.joined(separator: "/")
    }
    return places
  }

  /// Refuses shards that do not hold what their index says: of two copies, loaders take the one or the other.
  private static func requireAgreement(
    of places: [String: String], with shards: [(name: String, contents: WeightFile)], index path: String
  ) throws(CheckpointError) {
    var found: [String: String] = [:]
    for (shard, contents) in shards {
      for name in contents.entries.map(\.name).sorted() {
        if let other = found.updateValue(shard, forKey: name) {
          throw CheckpointError(.twice(name: name, shard: other, other: shard, indexed: places[name]), path: path)
        }
      }
    }
    if let missing = places.keys.filter({ found[$0] != places[$0] }).min() {
      throw CheckpointError(
        .missingTensor(name: missing, shard: places[missing]!, elsewhere: found[missing]), path: path)
    }
  }

  // MARK: Configurations

  private mutating func readConfiguration(ofFolder folder: String) throws {
    guard let fields = try Self.object("\(folder)/config.json") else { return }
    denoiserClass = fields["_class_name"]?.string
    guard denoiserClass == nil else {
      if denoiserClass == "AutoencoderKL" { soleNetwork = .vae }
      return
    }
    languageModel = LanguageModelConfiguration(fields)
    if languageModel?.isTextEncoder == true { soleNetwork = .textEncoder1 }
  }

  /// Takes note of how the weights of a folder's files are stored, as its `config.json` says.
  ///
  /// - Parameter first: of the files, by its place.
  /// - Throws: `CheckpointError.quantisedConfiguration` for a method that is not read.
  private mutating func readQuantisation(ofFolder folder: String, from first: Int) throws {
    let exported = try Self.object("\(folder)/hf_quant_config.json")?["quantization"]
    let settings = try Self.object("\(folder)/config.json")?["quantization_config"]
    guard let found = [settings, exported].compactMap(\.self).first(where: { $0 != .null && $0 != .object([:]) }) else {
      return
    }
    let fields = found.object ?? [:]
    let method = fields["quant_method"]?.string ?? (settings == nil ? "modelopt" : nil)
    let quantisation = method.map { QuantisationSettings(method: $0, fields: fields) }
    guard let quantisation, quantisation.isReadable else {
      let method = method.map { "quant_method \($0)" } ?? "settings without a quant_method"
      throw CheckpointError(.quantisedConfiguration(file: "config.json", method: method), path: folder)
    }
    for index in first..<files.count { files[index].quantisation = quantisation }
  }

  /// The JSON object in a file; `nil` when there is no file.
  static func object(_ path: String) throws -> [String: JSONValue]? {
    try JSONValue.object(inFile: path) {
      CheckpointError(.configuration(file: "content", reason: $0), path: path)
    }?.fields
  }
}
