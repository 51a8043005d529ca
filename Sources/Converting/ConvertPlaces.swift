import Adapters
import Factoring
import Files
import FoundationEssentials

/// Where the files of a converted adapter go: one file or folder, folders of their own for several PEFT adapters, and a
/// file beside it for each textual inversion.
struct ConvertPlaces {
  let places: [OutputPlace]
  let embeddings: [String]
  /// The folder above several PEFT adapters.
  private let folder: String?
  /// The folders of several in it.
  private let parts: [String]
  /// Inputs that may be replaced: a conversion of a file under its own name works in place.
  private let own: Set<String>

  var isSeveral: Bool { folder != nil }

  init(_ output: String, plan: ConvertPlan) throws {
    let root = output.hasSuffix("/") ? String(output.dropLast()) : output
    let isSeveral = plan.parts.count > 1
    if isSeveral, root.hasSuffix(".safetensors") { throw FactoringError(.needsFolder, path: output) }
    places = try plan.parts.map { part in
      let targets = plan.targets[part.targets]
      let ranks = targets.map { (name: $0.name, rank: $0.alphaRank) }
      let source = plan.adapters.lazy.compactMap(\.configuration).first
      let leavesFamily = targets.contains { $0.sources.contains(where: \.becomesLoRA) }
      var fields = OutputPlace.configuration(like: source, leavingFamily: leavesFamily)
      if plan.adapters.first?.format.dialect.isFolder != true || plan.adapters.count > 1 || leavesFamily {
        PEFTWholeWeights(
          names: plan.passedThrough.map(\.name), targets: ranks.map(\.name), sources: source.map { [$0] } ?? []
        ).set(in: &fields)
      }
      return try OutputPlace(
        isSeveral ? "\(root)/\(part.folder)" : output, configuration: plan.writesFolder ? fields : nil, ranks: ranks,
        alphas: targets.map(\.alpha))
    }
    let stem = root.hasSuffix(".safetensors") ? root.dropping(suffix: ".safetensors") : root
    embeddings = plan.embeddings.map { "\(stem)-\($0.token.fileNamePart).safetensors" }
    folder = isSeveral ? root : nil
    parts = plan.parts.map(\.folder)
    own = Set(plan.adapters.flatMap(\.ownFiles))
  }

  /// Fails early when something cannot be made, or exists and may not be replaced.
  func check(overwriting: Bool) throws {
    for file in embeddings { try TemporaryFile.checkDestination(file, overwriting: overwriting) }
    for folder in folder.map({ [$0] }) ?? places.compactMap(\.folder) where OutputPlace.isFile(folder) {
      throw FactoringError(.needsFolder, path: folder)
    }
    guard let folder else {
      for place in places { try place.check(overwriting: overwriting, inPlaceOf: own) }
      return
    }
    for file in replaced.sorted() where !overwriting && FileManager.default.fileExists(atPath: "\(folder)/\(file)") {
      throw FileError(.exists, path: "\(folder)/\(file)")
    }
    try StagedFolder.checkDestination(folder, replacing: replaced, inPlaceOf: own)
  }

  /// Begins the files of each adapter.
  func files(overwriting: Bool) throws -> [OutputFiles] {
    guard let folder else {
      return try places.map { try OutputFiles($0, overwriting: overwriting, inPlaceOf: own) }
    }
    let staged = try StagedFolder(for: folder, replacing: replaced, inPlaceOf: own)
    return try zip(places, parts).map { try OutputFiles($0, in: staged, part: $1) }
  }

  /// What goes away in a folder of several adapters that exists.
  private var replaced: Set<String> {
    Set(parts.flatMap { part in OutputPlace.fileNames.map { "\(part)/\($0)" } })
  }
}
