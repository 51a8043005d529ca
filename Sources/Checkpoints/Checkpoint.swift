import Files
public import JSON
public import Models
import Safetensors
public import Tensors

/// A base checkpoint: a model's weights in one file, in several shards, or in the folders of a pipeline.
///
/// Opening reads headers and configurations only.
public struct Checkpoint: Sendable {
  /// A file with weights.
  public struct File: Sendable {
    /// Its tensors, whatever its container is.
    public let contents: WeightFile
    /// Its place in the folder; the file's own name for a checkpoint of one file.
    public let relativePath: String
    /// The folder of its network, to which all shards of it belong; empty for a checkpoint of one network.
    package var folder: Substring { relativePath.lastIndex(of: "/").map { relativePath[..<$0] } ?? "" }
    /// The method by which the folder's configuration says that its weights are quantised.
    public let quantisationMethod: String?
  }

  /// A tensor of the checkpoint.
  public struct Weight: Sendable {
    /// Index into `files`.
    public let file: Int
    /// Full name, number format and shape of what it stands for. Codes stand for F32, those of eight-bit numbers that a bake can
    /// write in place for their own format.
    public internal(set) var entry: WeightFile.Entry
    /// The same as the file has it.
    public let stored: WeightFile.Entry
    /// The network that it belongs to; `other` for what no adapter speaks about.
    public internal(set) var component: Component
    /// The name inside the component, without the prefix of a single file.
    public internal(set) var name: String
    /// How it is stored, where that is not as its own numbers.
    public internal(set) var quantisation: StoredWeight?
    /// The place of the weight whose codes this tensor says something about; `nil` for a weight.
    public internal(set) var owner: Int?

    /// Whether it is stored as eight-bit numbers that a bake writes in their place, with a scale or without.
    public var isInPlace: Bool { quantisation != nil && entry.dtype == stored.dtype && entry.dtype.bits == 8 }

    init(file: Int, entry: WeightFile.Entry, component: Component, name: String) {
      (self.file, self.entry, stored, self.component, self.name) = (file, entry, entry, component, name)
    }

    fileprivate func named(_ name: String) -> Weight {
      var result = self
      result.name = name
      return result
    }
  }

  /// The file, index or folder, as it was given.
  public let path: String
  /// Whether `path` is a folder.
  public let isFolder: Bool
  /// The model, as names and shapes tell it; `unknown` where they do not.
  public let family: Family
  /// Files with weights; more than one for shards and for a folder with several networks.
  public let files: [File]
  /// All tensors of all files, in the files' order.
  public let weights: [Weight]
  /// Files without weights that belong to the folder, as relative paths: configurations, tokenizers.
  public let companions: [String]
  /// Files of the folder that hold the same weights again, in another format or precision.
  public let duplicates: [String]
  /// What is odd about the files and allowed, each with the file in front.
  public let warnings: [String]
  /// Of the configuration of a language model.
  let model: LanguageModelConfiguration?
  private var namespaces: [Component: [Namespace]] = [:]
  private var flat: [Component: [String: NamedWeight]] = [:]
  /// Of language models, and of what is not known.
  private var cores: [Component: CoreNames] = [:]
  /// The files of tensors that an index does not speak of, by their names with underscores for dots.
  private let unlisted: [String: String]

  /// A tensor as the file has it: a view of the mapped file wherever that is possible. `decodedTensor` has the numbers that codes
  /// stand for.
  public func tensor(_ weight: Weight) -> Tensor { files[weight.file].contents.tensor(weight.stored) }

  /// The bytes of a tensor as the file has them.
  public func storedBytes(_ weight: Weight) -> Bytes { files[weight.file].contents.storedBytes(weight.stored) }

  /// The place in `weights` of a tensor by its file and its full name there; `nil` when there is none.
  public func index(of name: String, inFile file: Int) -> Int? {
    guard files.indices.contains(file), let place = files[file].contents.index(of: name) else { return nil }
    return files[..<file].reduce(place) { $0 + $1.contents.entries.count }
  }

  /// The folder that the files lie in.
  public var folder: String {
    isFolder && FolderEntry.isFolder(path)
      ? path : path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  /// The JSON object in a file of the folder, such as `vae/config.json`; `nil` where there is none.
  ///
  /// - Throws: `CheckpointError` for a file that is something else.
  public func configuration(_ name: String) throws -> [String: JSONValue]? {
    isFolder ? try CheckpointFolder.object("\(folder)/\(name)") : nil
  }

  /// The size of all files with weights in bytes.
  public var byteCount: Int { files.reduce(0) { $0 + $1.contents.byteCount } }

  /// In the files' order; empty where the checkpoint does not have the network.
  public func weights(of component: Component) -> [Weight] { weights.filter { $0.component == component } }

  /// Whether there is a folder at `path`.
  public static func isFolder(_ path: String) -> Bool { FolderEntry.isFolder(path) }

  /// Opens the checkpoint at `path`: a file of weights (`WeightFile`), an index of shards, or a folder.
  ///
  /// - Throws: `CheckpointError`, or the error of a file's room.
  public init(path: String) throws {
    try self.init(FolderEntry.isFolder(path) ? CheckpointFolder(path: path) : CheckpointFolder(file: path), path: path)
  }

  /// Makes a checkpoint of tensors in memory, which have the names that a single file would have for them.
  ///
  /// - Parameters:
  ///   - tensors: no two of one name: `model.diffusion_model.input_blocks.0.0.weight`, `down_blocks.0.resnets.0.conv1.weight`. They are
  ///     copied once.
  ///   - title: what messages call it, in a path's place.
  /// - Throws: `SafetensorsError` for two tensors of one name, `CheckpointError` for what is no checkpoint.
  public init(
    tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)] = [],
    title: String = "a checkpoint in memory"
  ) throws {
    let file = try SafetensorsFile(tensors: tensors, metadata: metadata, title: title)
    try self.init(CheckpointFolder(WeightFile(file)), path: title)
  }

  private init(_ source: CheckpointFolder, path: String) throws {
    var (weights, unlisted) = try Self.weights(of: source, path: path)
    guard !weights.isEmpty else { throw CheckpointError(.notACheckpoint(reason: "found no tensors"), path: path) }
    try Self.requireUsableGGUF(source, weights, path: path)
    weights = try QuantisationReader.resolved(weights, source.files, path: path)
    var detected = Self.family(of: weights, source)
    if detected == .unknown, source.languageModel == nil {
      // All of a model may lie one level deeper.
      for level in Self.outerLevels
      where weights.allSatisfy({ $0.component == .other || $0.name.hasPrefix(level) }) {
        let inner = weights.map { $0.component == .other ? $0 : $0.named($0.name.dropping(prefix: level)) }
        let family = Self.family(of: inner, source)
        if family != .unknown { (weights, detected) = (inner, family) }
      }
    }
    self.path = path
    isFolder = source.isFolder
    let isLanguageModel = source.languageModel != nil || source.files.contains { $0.contents.hasLlamaNames }
    family = detected == .unknown && isLanguageModel ? .languageModel : detected
    files = source.files.map {
      File(contents: $0.contents, relativePath: $0.relativePath, quantisationMethod: $0.quantisation?.method)
    }
    self.weights = weights
    companions = source.companions
    duplicates = source.duplicates
    warnings =
      source.warnings + source.files.flatMap { file in file.contents.warnings.map { "\(file.contents.path): \($0)" } }
    self.unlisted = unlisted
    model = source.languageModel
    namespaces = Self.namespaces(weights, family)
    flat = namespaces.mapValues { Self.flattened($0) }
    cores = family == .languageModel || family == .unknown ? flat.mapValues { CoreNames($0) } : [:]
  }

  private static func requireUsableGGUF(
    _ source: CheckpointFolder, _ weights: [Weight], path: String
  ) throws(CheckpointError) {
    let files = source.files.compactMap(\.contents.gguf)
    if files.contains(where: { $0["general.type"] == .string("adapter") }) {
      throw CheckpointError(.notACheckpoint(reason: "found an adapter of llama.cpp"), path: path)
    }
  }

  /// Whether it is a language model under llama.cpp's names, which no other program knows.
  package var hasLlamaNames: Bool { files.contains { $0.contents.hasLlamaNames } }

  /// What the modules of a language model in a file of llama.cpp are called; `nil` for other files.
  ///
  /// - Throws: `CheckpointError` for a model whose names are not known, or whose rows are in another order.
  private static func llamaNames(of file: WeightFile, path: String) throws(CheckpointError) -> LlamaCppNames? {
    guard file.hasLlamaNames, let gguf = file.gguf else { return nil }
    var architecture = "of no name"
    if case .string(let name)? = gguf["general.architecture"] { architecture = name }
    let found = "found a language model under llama.cpp's names for the architecture \(architecture)"
    guard let names = LlamaCppNames(architecture: architecture) else {
      let known = LlamaCppNames.all.filter { !$0.reordersRows }.map(\.architecture).joined(separator: ", ")
      throw CheckpointError(
        .notACheckpoint(reason: "\(found), whose names are not known; known are \(known)"), path: path)
    }
    guard !names.reordersRows else {
      throw CheckpointError(
        .notACheckpoint(
          reason: "\(found), which has rows of queries and keys in an order of its own; hint: use what it was made from"
        ),
        path: path)
    }
    return names
  }

  private static let outerLevels = ["model.", "transformer.", "unet.", "dit."]

  /// All tensors with the networks that they belong to; and the files of those that an index does not speak of, by their names
  /// with underscores for dots.
  ///
  /// - Throws: `CheckpointError.sameWeight` for tensors that mean one weight: loaders take the one or the other.
  private static func weights(
    of source: CheckpointFolder, path: String
  ) throws(CheckpointError) -> (weights: [Weight], unlisted: [String: String]) {
    var weights: [Weight] = [], unlisted: [String: String] = [:]
    var places: [Component: [String: String]] = [:]
    let prefixes = ComponentPrefix(
      soleNetwork: source.soleNetwork,
      names: source.files.filter { $0.component == nil }.flatMap { $0.contents.entries.map(\.name) })
    for (index, file) in source.files.enumerated() {
      let levels = WrapperLevels(file.contents.entries.map(\.name))
      let llama = try llamaNames(of: file.contents, path: path)
      for entry in file.contents.entries {
        // What the index does not speak of is no part of the model that loaders make of it.
        if file.unlisted.contains(entry.name) {
          unlisted[entry.name.underscored] = file.relativePath
          weights.append(Weight(file: index, entry: entry, component: .other, name: entry.name))
          continue
        }
        if let llama {
          let name = llama.weight(of: entry.name)
          weights.append(
            Weight(file: index, entry: entry, component: name == nil ? .other : .denoiser, name: name ?? entry.name))
          continue
        }
        let (component, name) =
          file.component.map { ($0, file.level + levels.unwrapped(entry.name)) } ?? prefixes.place(of: entry.name)
        if component != .other, let other = places[component, default: [:]].updateValue(entry.name, forKey: name) {
          throw CheckpointError(.sameWeight(name: entry.name, other: other), path: path)
        }
        weights.append(Weight(file: index, entry: entry, component: component, name: name))
      }
    }
    return (weights, unlisted)
  }

  private static func family(of weights: [Weight], _ source: CheckpointFolder) -> Family {
    let shapes = Dictionary(
      weights.filter { $0.component == .denoiser }.map { ($0.name, $0.entry.shape) }, uniquingKeysWith: { a, _ in a })
    return Family.detect(
      shapes: shapes, className: source.denoiserClass,
      encoders: weights.filter { $0.component.isTextEncoder }.map(\.entry.name))
  }

  // MARK: Names

  /// The weights of each component under its own names, then diffusers' names, then all others.
  private static func namespaces(_ weights: [Weight], _ family: Family) -> [Component: [Namespace]] {
    var own: [Component: Namespace] = [:]
    for (index, weight) in weights.enumerated() where weight.component != .other {
      own[weight.component, default: Namespace()].add(
        weight.name, NamedWeight(stored: index, shape: weight.entry.shape))
    }
    return own.reduce(into: [:]) { result, entry in
      let (component, stored) = entry, maps = family.maps(of: component)
      let counts = maps.map { stored.count(of: $0) }
      let best = counts.indices.max { counts[$0].left < counts[$1].left }
      let isLeft = best.map { counts[$0].left > counts[$0].right } ?? false
      let right = isLeft ? stored.translatedToRight(maps[best!]) : stored
      result[component] =
        [stored, right] + maps.indices.filter { !isLeft || $0 != best }.map { right.translatedToLeft(maps[$0]) }
    }
  }

  private static func flattened(_ namespaces: [Namespace]) -> [String: NamedWeight] {
    var result: [String: NamedWeight] = [:]
    for namespace in namespaces {
      for (name, weight) in namespace.weights {
        let key = name.underscored
        if result[key] == nil { result[key] = weight }
      }
    }
    return result
  }

  /// The weight called `name` in diffusers' (Hugging Face's) dialect, with dots: `down_blocks.0.resnets.0.conv1.weight`.
  ///
  /// The names of a CLIP text encoder may lack their first level, `text_model.`, here and in the file.
  public func weight(named name: WeightName) -> NamedWeight? {
    guard let weights = namespaces[name.component]?[1].weights else { return nil }
    if let weight = weights[name.path] { return weight }
    guard name.component.isTextEncoder else { return nil }
    let level = "text_model."
    return weights[name.path.hasPrefix(level) ? name.path.dropping(prefix: level) : level + name.path]
  }

  /// All names of a component in diffusers' dialect.
  public func names(of component: Component) -> [String] { namespaces[component]?[1].names ?? [] }

  /// The weight called `flatName` in any dialect, with underscores for dots: `down_blocks_0_resnets_0_conv1_weight`.
  public func weight(flatName: String, in component: Component) -> NamedWeight? {
    for candidate in candidates(for: component) {
      if let weight = flat[candidate]?[flatName] { return weight }
    }
    guard let names = cores[component] else { return nil }
    func find(_ name: String) -> NamedWeight? {
      let found = names.weights(name)
      guard found.isEmpty else { return found.count == 1 ? found[0].weight : nil }
      return model?.weight(flatName: name, in: names)
    }
    return find(flatName) ?? StackedExperts.weight(flatName: flatName, find: find)
  }

  /// Why `weight(flatName:in:)` finds none, in words.
  ///
  /// - Parameter flatNames: all names of the weight.
  public func absence(flatNames: [String], in component: Component) -> String {
    guard hasWeights(for: component) else { return "the checkpoint has no \(component.title)" }
    for name in flatNames {
      if let place = unlisted[name] {
        return "the checkpoint has it in \(place), but its index does not name it; hint: add it to the index"
      }
      let found = cores[component]?.weights(name).map(\.name) ?? []
      if found.count > 1 {
        return "the checkpoint has several weights that this name may mean: \(found.prefix(3).joined(separator: ", "))"
      }
    }
    return "the checkpoint has no weight of this name"
  }

  /// Networks that a name may speak of: T5 is the second or the third text encoder of Flux, by trainer, and a refiner's
  /// only one is counted first or second. Their names do not collide. Elsewhere the only network has no number.
  private func candidates(for component: Component) -> [Component] {
    if component == .denoiser, namespaces[.denoiser] == nil, namespaces.count == 1 { return Array(namespaces.keys) }
    guard component.isTextEncoder, family.numbersTextEncodersFreely else { return [component] }
    return [component] + [.textEncoder1, .textEncoder2, .textEncoder3].filter { $0 != component }
  }

  /// Whether a name of the component can be found at all.
  public func hasWeights(for component: Component) -> Bool { candidates(for: component).contains { flat[$0] != nil } }

  /// Whether the matrices of a module are stored as (inputs, outputs), as GPT-2 and its kin do, unlike everybody else.
  /// `nil` when there is no configuration to tell.
  ///
  /// - Parameter module: the module's name with underscores for dots: `transformer_h_0_attn_c_attn`.
  public func storesTransposed(module: String) -> Bool? { model?.storesTransposed("_" + module) }

  /// How many heads the attention of a language model has, for queries and for keys; `nil` where no configuration tells.
  public var attentionHeads: (queries: Int, keys: Int)? { model?.heads }

  /// What transformers' configuration calls the kind of a language model; `nil` where there is none.
  public var modelType: String? { model?.modelType }

  /// A note about a weight that stands for another one too, because the model ties them.
  public func tieNote(flatName: String, in component: Component) -> String? {
    guard let model, let names = cores[component], names.weights(flatName).isEmpty,
      let weight = model.weight(flatName: flatName, in: names)
    else { return nil }
    let stored = weights[weight.pieces[0].stored].entry.name
    return "\(flatName.dropping(suffix: "_weight")) is tied to \(stored): a change to one is a change to both"
  }
}

extension WeightFile {
  /// Whether it is GGUF with llama.cpp's names.
  fileprivate var hasLlamaNames: Bool { gguf?.entries.contains { LlamaCppNames.isKnown($0.name) } ?? false }
}
