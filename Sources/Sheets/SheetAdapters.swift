import Adapters
public import Baking
public import Checkpoints
public import Factoring
import Foundation
import Models
public import Prompts

/// All adapters of a sheet, matched with the base: those that all pictures have, and those that prompts' tags name.
public struct SheetAdapters: Sendable {
  /// Each file once, in the order of its first mention.
  public private(set) var files: [String] = []
  /// Those of all pictures.
  public private(set) var given: [AdapterUse] = []
  /// Of each prompt's tags.
  public private(set) var tagged: [[AdapterUse]] = []
  /// Each file on the base, at the sum of its strengths.
  private let stack: Stack
  /// Sentences about base and adapters that keep nothing from being rendered.
  public let warnings: [String]
  /// What is left out, as it was allowed.
  public let skipped: [String]

  /// - Parameters:
  ///   - base: a checkpoint's file or folder.
  ///   - tags: of each prompt.
  ///   - folders: where tags' names are looked for, besides the current one and those of `inputs`.
  /// - Throws: what the rooms of files throw, `BakingError` for what does not fit, `SheetError` for names in tags.
  public init(
    base: String, inputs: [AdapterInput], tags: [[PromptTags.Tag]] = [], folders: [String] = [],
    allowsUnmatched: Bool = false, allowsUnknown: Bool = false
  ) throws {
    var files: [String] = []
    func use(_ input: AdapterInput) -> AdapterUse {
      if !files.contains(input.path) { files.append(input.path) }
      return AdapterUse(file: files.firstIndex(of: input.path)!, input: input)
    }
    given = inputs.map { use($0) }
    let places = (folders + ["."] + inputs.map { Self.folder(of: $0.path) }).reduce(into: [String]()) {
      if !$0.contains($1) { $0.append($1) }
    }
    tagged = try tags.map { tags in
      try tags.map {
        use(
          AdapterInput(
            path: try Self.path(of: $0.name, in: places), strength: $0.denoiserStrength,
            textEncoderStrength: $0.textEncoderStrength))
      }
    }
    self.files = files
    let uses = given + tagged.joined()
    // A bake of all of them knows what fits and what must not be dropped in silence.
    let all = files.indices.map { file in
      let own = uses.filter { $0.file == file }.map(\.input)
      return AdapterInput(
        path: files[file], strength: own.reduce(0) { $0 + abs($1.strength) },
        textEncoderStrength: own.reduce(0) { $0 + abs($1.textEncoderStrength) },
        blocks: own.count == 1 ? own[0].blocks : nil)
    }
    var recipe = BakeRecipe(base: base, inputs: all, allowsUnmatched: allowsUnmatched, allowsUnknown: allowsUnknown)
    recipe.writes = false
    let plan = try BakePlan(recipe)
    (stack, skipped) = (plan.stack, plan.skipped)
    // Files that are used more than once stand in the plan without their blocks.
    for use in given { try use.input.blocks?.check(for: stack.layers[use.file].adapter, on: plan.base.family) }
    warnings = plan.base.warnings + stack.layers.flatMap { $0.adapter.warnings + $0.notes }
  }

  /// What all adapters were matched with.
  public var base: Checkpoint { stack.base }
  /// How each file fits the base.
  public var fits: [AdapterFit] { stack.layers.map(\.fit) }

  /// The base with some adapters added.
  public func weights(_ uses: [AdapterUse]) -> any WeightSource {
    uses.isEmpty ? base : stack.using(uses.map { ($0.file, $0.input) }).weights
  }

  /// Of some uses what they do to the text encoders.
  func textUses(_ uses: [AdapterUse]) -> [AdapterUse] {
    uses.filter { use in
      stack.layers[use.file].adapter.targets.contains {
        $0.key.component.isTextEncoder && use.input.strength(for: $0.key) != 0
      }
    }.map { use in
      var input = use.input
      input.strength = 0
      return AdapterUse(file: use.file, input: input)
    }
  }

  // MARK: Names in tags

  private static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }

  private static func path(of name: String, in folders: [String]) throws -> String {
    func isAdapter(_ path: String) -> Bool {
      var isFolder = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return false }
      return !isFolder || FileManager.default.fileExists(atPath: path + "/adapter_config.json")
    }
    let inFolders = folders.flatMap { folder -> [String] in
      let place = folder == "." ? "" : folder.hasSuffix("/") ? folder : folder + "/"
      return ["\(place)\(name).safetensors", place + name]
    }
    guard let path = ([name] + inFolders).first(where: isAdapter) else {
      throw SheetError(.noAdapter(tag: name, folders: folders))
    }
    return path
  }
}
