package import Adapters
import Files
package import JSON
package import Safetensors
package import Tensors

/// The metadata of an adapter to be written: what its training said, what loaders look for, and the recipe.
///
/// Hashes and ranks are known only in the end. Until then texts of the same length stand for hashes.
package struct OutputMetadata: Sendable {
  /// What only the bytes of the inputs and of the finished file tell.
  package struct Hashes: Sendable {
    /// SHA-256 of the tensors of each input's files.
    package let inputs: [[String]]
    /// SHA-256 of the output's data section.
    package let data: String
    /// Kohya's old short one.
    package let legacy: String
  }

  /// What is filled in in the end.
  private enum Later {
    case dataHash(prefix: String)
    case legacyHash
    /// Of one of the targets; nothing is told of those that are left out.
    case rank(target: Int)
    case patterns
  }

  package static let unknownHash = String(repeating: "0", count: 64)

  private let dialect: any Dialect
  private let recipe: @Sendable (RecipeHashes) -> [String: JSONValue]
  private var list = MetadataList()
  private var later: [String: Later] = [:]
  private var patterns: RankPatterns?
  /// Of targets whose ranks have entries of their own.
  private var numbered: [String] = []
  /// What the inputs have, kept or not.
  private var inputKeys: Set<String> = []

  /// - Parameter recipe: what was asked for, with the hashes of the inputs.
  package init(_ dialect: any Dialect, recipe: @escaping @Sendable (RecipeHashes) -> [String: JSONValue]) {
    (self.dialect, self.recipe) = (dialect, recipe)
  }

  package var isEmpty: Bool { list.isEmpty }

  // MARK: Composing

  package mutating func set(_ key: String, _ value: String) { list.set(key, value) }

  /// Keeps the inputs' entries, but for what describes their old factors and what `isReplaced` names.
  package mutating func inherit(from adapters: [Adapter], but isReplaced: (_ key: String, _ value: String) -> Bool) {
    for adapter in adapters {
      inputKeys.formUnion(adapter.metadata.map(\.key))
      list.add(adapter.metadata) { key, value in
        !Self.ofFactors.contains(key) && !key.hasPrefix("lathe.") && !isReplaced(key, value)
      }
    }
  }

  private static let ofFactors: Set = [
    "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "ss_network_dim", "ss_network_alpha",
    "lora_adapter_metadata",
  ]

  package func isInInputs(_ key: String) -> Bool { inputKeys.contains(key) }

  /// Whether the output has the entries by which kohya's programs know an adapter.
  private var isKohyas: Bool { dialect.alphaRule == .tensor }

  /// Tells what kind of network it is.
  ///
  /// - Parameters:
  ///   - rank: of all targets; `nil` where they differ.
  ///   - alpha: of all targets, where there is one to tell.
  ///   - isAnother: whether the inputs were of another kind.
  package mutating func tellNetwork(rank: Int?, alpha: String?, isAnother: Bool = false) {
    if isKohyas || isInInputs("ss_network_dim") {
      set("ss_network_dim", rank.map(String.init) ?? "Dynamic")
      if let alpha { set("ss_network_alpha", alpha) }
    }
    if isKohyas, isAnother || !isInInputs("ss_network_module") { set("ss_network_module", "networks.lora") }
  }

  /// Tells the hashes by which kohya's programs, and those of A1111, find an adapter.
  package mutating func tellHashes() {
    if isKohyas || isInInputs("sshs_model_hash") {
      tell(.dataHash(prefix: ""), as: "sshs_model_hash", until: Self.unknownHash)
      tell(.legacyHash, as: "sshs_legacy_hash", until: String(Self.unknownHash.prefix(8)))
    }
    if isInInputs("modelspec.hash_sha256") { tellModelspecHash() }
  }

  package mutating func tellModelspecHash() {
    tell(.dataHash(prefix: "0x"), as: "modelspec.hash_sha256", until: "0x" + Self.unknownHash)
  }

  /// Tells the targets' ranks in entries of their own, where the dialect has them.
  ///
  /// - Parameter targets: their names.
  package mutating func tellNumberedRanks(of targets: [String]) {
    guard dialect.numbersTargets else { return }
    numbered = targets
    for (index, name) in targets.enumerated() { tell(.rank(target: index), as: "\(name):rank", until: "") }
  }

  /// Tells ranks that differ by patterns, where the dialect has nothing else.
  package mutating func tellRanks(by patterns: RankPatterns?) {
    guard let patterns, dialect.alphaRule == .metadata else { return }
    self.patterns = patterns
    tell(.patterns, as: "lora_adapter_metadata", until: "")
  }

  private mutating func tell(_ what: Later, as key: String, until: String) {
    later[key] = what
    list.set(key, until)
  }

  // MARK: Reading

  /// How the text grows with the ranks; `nil` where it does not.
  package var growth: FileSizeModel.MetadataGrowth? {
    if let patterns { return patterns.growth }
    guard !numbered.isEmpty else { return nil }
    // `"NAME:rank":"8",` for each target; the entries of the tool stand behind, so every one has its comma.
    let characters = numbered.map { $0.utf8.count + "\":rank\":\"\",".utf8.count }
    return .init(characters: characters, rankCount: 1, groups: numbered.map { _ in 0 }, listCount: 0)
  }

  /// All entries.
  ///
  /// - Parameters:
  ///   - ranks: of the targets; 0 for one that is left out.
  ///   - hashes: `nil` before they are known.
  ///   - inputHashes: those of the inputs alone, where nothing tells of the output's own.
  package func entries(
    ranks: [Int], hashes: Hashes? = nil, inputHashes: [[String]]? = nil
  ) -> [(key: String, value: String)] {
    var entries = list.entries.compactMap { entry -> (key: String, value: String)? in
      switch later[entry.key] {
      case nil: entry
      case .dataHash(let prefix): hashes.map { (entry.key, prefix + $0.data) } ?? entry
      case .legacyHash: hashes.map { (entry.key, $0.legacy) } ?? entry
      case .rank(let target): ranks[target] > 0 ? (entry.key, String(ranks[target])) : nil
      case .patterns: (entry.key, patterns!.text(ranks: ranks))
      }
    }
    entries.append(("lathe.version", ToolVersion.current))
    let text = JSONValue.object(recipe(RecipeHashes(known: hashes?.inputs ?? inputHashes))).compactText
    entries.append(("lathe.recipe", text))
    return entries
  }
}

/// The hashes of inputs as a recipe tells them, or what stands for them before they are known.
package struct RecipeHashes {
  fileprivate let known: [[String]]?

  /// Of an input of one file.
  package func ofInput(_ input: Int) -> JSONValue { .string(known?[input][0] ?? OutputMetadata.unknownHash) }

  /// Of each of an input's files.
  package func ofFiles(_ count: Int, ofInput input: Int) -> JSONValue {
    .array((0..<count).map { .string(known?[input][$0] ?? OutputMetadata.unknownHash) })
  }
}

extension OutputMetadata.Hashes {
  /// - Parameters:
  ///   - inputs: SHA-256 of the tensors of each input's files.
  ///   - data: the data section of a file with these items and this metadata.
  package init(
    inputs: [[String]], data: Bytes, _ items: [SafetensorsLayout.Item], metadata: [(key: String, value: String)]
  ) {
    self.inputs = inputs
    self.data = ContentHash.sha256(data)
    // Of 64 KiB from the file's second mebibyte on, were its metadata only the training's.
    let head = SafetensorsLayout(items, metadata: metadata.filter { $0.key.hasPrefix("ss_") }).head().count
    let start = min(max(0, 0x100000 - head), data.count), end = min(start + 0x10000, data.count)
    legacy = String(ContentHash.sha256(data[start..<end]).prefix(8))
  }
}

/// The last part of a path: a stranger's machine is nobody's business.
package func fileName(_ path: String) -> String {
  path.split(separator: "/").last.map(String.init) ?? path
}
