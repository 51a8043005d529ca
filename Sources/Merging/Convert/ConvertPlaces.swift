import Adapters
import Checkpoints
import FoundationEssentials
import Safetensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where the files of a converted adapter go: one file or folder, folders of their own for several PEFT adapters, and a
/// file beside it for each textual inversion.
struct ConvertPlaces {
  let places: [OutputPlace]
  let embeddings: [String]
  /// The folder above several PEFT adapters.
  private let folder: String?
  private let isNew: Bool

  init(_ output: String, plan: ConvertPlan) throws {
    let root = output.hasSuffix("/") ? String(output.dropLast()) : output
    let isSeveral = plan.parts.count > 1
    if isSeveral, root.hasSuffix(".safetensors") { throw MergingError(.needsFolder, path: output) }
    places = try plan.parts.map { part in
      let targets = plan.targets[part.targets]
      let ranks = targets.map { (name: $0.name, rank: $0.alphaRank) }
      var fields = plan.adapters.lazy.compactMap(\.configuration).first ?? OutputPlace.plainConfiguration
      if plan.adapters.first?.format != .peft || plan.adapters.count > 1 {
        fields["target_modules"] = OutputPlace.modules(ranks)
      }
      return try OutputPlace(
        isSeveral ? "\(root)/\(part.folder)" : output, configuration: plan.writesFolder ? fields : nil, ranks: ranks,
        alphas: targets.map(\.alpha))
    }
    let stem = root.hasSuffix(".safetensors") ? root.dropping(suffix: ".safetensors") : root
    embeddings = plan.embeddings.map { "\(stem)-\($0.token.fileNamePart).safetensors" }
    folder = isSeveral ? root : nil
    var isFolder = false
    isNew = !(isSeveral && FileManager.default.fileExists(atPath: root, isDirectory: &isFolder) && isFolder)
  }

  /// Fails early when something cannot be made, or exists and may not be replaced.
  func check(overwriting: Bool) throws {
    for file in embeddings { try TemporaryFile.checkDestination(file, overwriting: overwriting) }
    if let folder, isNew {
      guard !FileManager.default.fileExists(atPath: folder) else { throw MergingError(.needsFolder, path: folder) }
      return try TemporaryFile.checkDestination(folder, overwriting: false)
    }
    for place in places { try place.check(overwriting: overwriting) }
  }

  /// Makes the folders.
  func prepare() throws {
    if let folder, isNew {
      guard mkdir(folder, 0o777) == 0 else {
        throw SafetensorsError(.notWritable(reason: String(cString: strerror(errno))), path: folder)
      }
    }
    for place in places { try place.prepare() }
  }

  /// Takes back folders in which nothing came to be.
  func removeFoldersIfEmpty() {
    for place in places { place.removeFolderIfEmpty() }
    if let folder, isNew { rmdir(folder) }
  }
}
