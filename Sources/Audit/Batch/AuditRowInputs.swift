import Factoring
import Files
import Foundation
import Platform

/// All that decides what the audit of a row says: an earlier result holds as long as this is the same.
///
/// Files are told by size and time of change, so that thousands of rows are looked through in seconds.
public struct AuditRowInputs: Codable, Sendable, Equatable {
  /// A file as it was.
  public struct File: Codable, Sendable, Hashable {
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
    /// Of an adapter: for the denoiser and for text encoders. Empty for other uses.
    let strengths: [Double]
    let files: [File]
  }

  /// Of Lathe.
  let version: String
  /// Options of the command line as `name=value`.
  let settings: [String]
  let uses: [Use]

  /// Looks at the files of a row as they are now.
  ///
  /// - Parameters:
  ///   - settings: as `name=value`, all but files.
  ///   - others: files and folders that the audit reads beside the pair's, by what they are read for.
  public init(_ pair: AuditPair, settings: [String], others: [(name: String, path: String)]) {
    version = ToolVersion.current
    self.settings = settings
    var uses = [Use(name: "base", strengths: [], files: Self.files(of: pair.base))]
    for (name, inputs) in [("before", pair.before), ("after", pair.after)] {
      uses += inputs.map {
        Use(name: name, strengths: [$0.strength, $0.textEncoderStrength], files: Self.files(of: $0.path))
      }
    }
    self.uses = uses + others.map { Use(name: $0.name, strengths: [], files: Self.files(of: $0.path)) }
  }

  /// The files behind a path: the file itself; all in a folder; all beside an index of shards, which names some of them;
  /// and PEFT's configuration beside an adapter.
  private static func files(of path: String) -> [File] {
    let path = URL(filePath: path).standardizedFileURL.path(percentEncoded: false)
    let folder = (path as NSString).deletingLastPathComponent
    if FolderEntry.isFolder(path) { return files(inFolder: path) }
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
      guard FolderEntry.isFolder(path) else { return [File(at: path)] }
      return depth > 1 ? files(inFolder: path, depth: depth - 1) : []
    }
  }
}

extension AuditRowInputs.File {
  /// The file at a path as it is now; of a link what it leads to.
  public init(at path: String) {
    self.path = path
    var status = stat()
    guard stat(path, &status) == 0 else {
      (bytes, modified) = (nil, nil)
      return
    }
    (bytes, modified) = (Int(status.st_size), status.modified.tv_sec * 1_000_000_000 + status.modified.tv_nsec)
  }
}
