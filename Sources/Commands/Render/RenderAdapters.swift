import Adapters
import Baking
import Checkpoints
import Factoring
import Foundation
import Models
import Prompts
import Reports

/// An adapter's use in a picture.
struct AdapterUse: Equatable {
  /// Index into `RenderAdapters.files`.
  let file: Int
  var input: AdapterInput

  var hasEffect: Bool { input.strength != 0 || input.textEncoderStrength != 0 }

  func scaled(by factor: Double) -> AdapterUse { AdapterUse(file: file, input: input.scaled(by: factor)) }

  var label: String { input.label }
}

/// All adapters of a render, matched with the base: those of the command line, and those that tags name.
struct RenderAdapters {
  /// Each file once, in the order of its first mention.
  private(set) var files: [String] = []
  /// Of the command line.
  private(set) var given: [AdapterUse] = []
  /// Of each prompt's tags.
  private(set) var tagged: [[AdapterUse]] = []
  let base: Checkpoint
  let fits: [AdapterFit]
  let warnings: [String]
  let skipped: [String]

  /// - Parameters:
  ///   - tags: of each prompt.
  ///   - folders: where tags' names are looked for, besides the current one and those of `inputs`.
  /// - Throws: what the rooms of files throw, `BakingError` for what does not fit, `RenderError`.
  init(
    base: String, inputs: [AdapterInput], tags: [[PromptTags.Tag]], folders: [String], allowsUnmatched: Bool,
    allowsUnknown: Bool
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
    let plan = try BakePlan(
      BakeRecipe(base: base, inputs: all, allowsUnmatched: allowsUnmatched, allowsUnknown: allowsUnknown))
    (self.base, fits, skipped) = (plan.base, plan.stack.layers.map(\.fit), plan.skipped)
    // Files that are used more than once stand in the plan without their blocks.
    for use in given { try use.input.blocks?.check(for: fits[use.file].adapter, on: plan.base.family) }
    warnings =
      plan.base.warnings
      + plan.stack.layers.map(\.fit).flatMap { fit in
        AdapterProblem.grouped(fit.adapter.problems.filter { !$0.isFatal }).map { "\(fit.adapter.path): \($0)" }
          + fit.notes.map { "\(fit.adapter.path): \($0)" }
      }
  }

  /// The base with some adapters added.
  func weights(_ uses: [AdapterUse]) -> any WeightSource {
    uses.isEmpty ? base : AdaptedWeights(base: base, adapters: uses.map { (fits[$0.file], $0.input) })
  }

  /// Of some uses what they do to the text encoders.
  func textUses(_ uses: [AdapterUse]) -> [AdapterUse] {
    uses.filter { use in
      fits[use.file].adapter.targets.contains {
        $0.key.component.isTextEncoder && use.input.strength(for: $0.key) != 0
      }
    }.map { use in
      var input = use.input
      input.strength = 0
      return AdapterUse(file: use.file, input: input)
    }
  }

  /// A row of the report for each file.
  var rows: [RenderReport.Adapter] {
    files.indices.map { file in
      let own = given.filter { $0.file == file }.map(\.input)
      return RenderReport.Adapter(
        file: files[file], strength: own.isEmpty ? nil : own.reduce(0) { $0 + $1.strength },
        textEncoderStrength: own.isEmpty ? nil : own.reduce(0) { $0 + $1.textEncoderStrength },
        targets: fits[file].entries.count, fitting: fits[file].fittingCount)
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
      throw RenderError(.noAdapter(tag: name, folders: folders), path: name)
    }
    return path
  }
}
