import Factoring
import Foundation
import Platform

/// All that decides what the audit of a row says: an earlier result holds as long as this is the same.
///
/// Files are told by size and time of change, so that thousands of rows are looked through in seconds.
struct AuditRowInputs: Codable, Sendable, Equatable {
  /// A file as it was.
  struct File: Codable, Sendable, Hashable {
    /// From the root.
    let path: String
    /// `nil` for one that is not there.
    let bytes: Int?
    /// In nanoseconds since 1970.
    let modified: Int?
  }

  /// What files are read for.
  struct Use: Codable, Sendable, Equatable {
    let name: String
    /// Of an adapter: for the UNet and for text encoders. Empty for other uses.
    let strengths: [Double]
    let files: [File]
  }

  /// Of Lathe.
  let version: String
  /// Options of the command line as `name=value`.
  let settings: [String]
  let uses: [Use]

  /// Looks at the files of a row as they are now.
  init(_ pair: AuditPair, command: AuditCommand) {
    version = ToolVersion.current
    settings = command.settings
    var uses = [Use(name: "base", strengths: [], files: Self.files(of: pair.base))]
    for (name, inputs) in [("before", pair.before), ("after", pair.after)] {
      uses += inputs.map {
        Use(name: name, strengths: [$0.strength, $0.textEncoderStrength], files: Self.files(of: $0.path))
      }
    }
    let prompts = command.weightsOnly ? nil : pair.prompts ?? command.scenes.prompts
    for (name, path) in [("prompts", prompts), ("vae", command.scenes.vae), ("against", command.against)] {
      if let path { uses.append(Use(name: name, strengths: [], files: Self.files(of: path))) }
    }
    self.uses = uses
  }

  /// The files behind a path: the file itself; all in a folder; all beside an index of shards, which names some of them;
  /// and PEFT's configuration beside an adapter.
  private static func files(of path: String) -> [File] {
    let path = URL(filePath: path).standardizedFileURL.path(percentEncoded: false)
    let folder = (path as NSString).deletingLastPathComponent
    if AuditBatchFolder.isFolder(path) { return files(inFolder: path) }
    if path.hasSuffix(".json"), path.contains(".index.") { return files(inFolder: folder) }
    let configuration = "\(folder)/adapter_config.json"
    let own = File(at: path)
    return FileManager.default.fileExists(atPath: configuration) ? [own, File(at: configuration)] : [own]
  }

  /// All but hidden ones, of folders in it too. Links are followed, as models in caches consist of them.
  private static func files(inFolder folder: String, depth: Int = 4) -> [File] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { !$0.hasPrefix(".") }.sorted().flatMap { name -> [File] in
      let path = "\(folder)/\(name)"
      guard AuditBatchFolder.isFolder(path) else { return [File(at: path)] }
      return depth > 1 ? files(inFolder: path, depth: depth - 1) : []
    }
  }
}

extension AuditRowInputs.File {
  /// The file at a path as it is now; of a link what it leads to.
  init(at path: String) {
    self.path = path
    var status = stat()
    guard stat(path, &status) == 0 else {
      (bytes, modified) = (nil, nil)
      return
    }
    (bytes, modified) = (Int(status.st_size), status.modified.tv_sec * 1_000_000_000 + status.modified.tv_nsec)
  }
}

extension AuditCommand {
  /// Options that decide what an audit says of given files, as `name=value`, those of files apart.
  var settings: [String] {
    let numbers: [(String, String?)] = [
      ("negative", scenes.negative), ("strengths", scenes.strengths.map { "\($0.values)" }),
      ("seed", scenes.seed.map { "\($0)" }), ("size", size?.text), ("steps", scenes.steps.map { "\($0)" }),
      ("cfg", scenes.cfg.map { "\($0)" }), ("sampler", scenes.sampler.rawValue),
      ("precision", scenes.precision.rawValue), ("rng", scenes.rng.rawValue), ("weights-only", "\(weightsOnly)"),
      ("hashes", "\(hashes)"),
    ]
    return scenes.prompt.map { "prompt=\($0)" } + limit.map { "limit=\($0.measure.rawValue)=\($0.limit)" }
      + numbers.compactMap { name, value in value.map { "\(name)=\($0)" } }
  }
}
