import Audit
import Files
import Foundation
import Images
import JSON
import Reports

/// The folder that a report goes into: complete, or not there.
struct AuditOutput {
  private let path: String
  /// The report to open first.
  var page: String { "\(path)/\(AuditFormat.page.fileName)" }
  /// The files of an earlier audit's report there, which are replaced; `nil` where there is none.
  private let replaced: Set<String>?
  /// Where it is made; `nil` for beside the folder.
  private let workshop: String?

  /// Fails early, before any work, when the folder could not be written.
  ///
  /// - Throws: `FileError.folderExists` for a folder that exists, also with `overwriting` when it is no report's;
  ///   `AuditBatchError` for one with other files.
  init(_ path: String, overwriting: Bool, in workshop: String? = nil) throws {
    self.workshop = workshop
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    replaced = overwriting ? try Self.files(ofReportIn: self.path) : nil
    try StagedFolder.checkDestination(self.path, replacing: replaced)
  }

  func write(_ report: AuditReport, _ result: AuditResult) throws { try completed(report, result).commit() }

  /// Everything, without a name yet.
  func completed(_ report: AuditReport, _ result: AuditResult) throws -> StagedFolder {
    let folder = try StagedFolder(for: path, replacing: replaced, in: workshop)
    let pictures = try pictures(report, result)
    for (name, bytes) in pictures.sorted(by: { $0.key < $1.key }) { try write(bytes, name, folder) }
    for format in AuditFormat.all {
      try write(Array(format.text(of: report, pictures: pictures).utf8), format.fileName, folder)
    }
    return folder
  }

  private func write(_ bytes: [UInt8], _ name: String, _ folder: StagedFolder) throws {
    let file = try folder.file(name)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }

  /// PNG files by their paths in the report.
  private func pictures(_ report: AuditReport, _ result: AuditResult) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    guard let pictures = result.pictures else { return files }
    for (row, pair) in zip(report.pictures, pictures.pairs) {
      files[row.before] = try pair.before.pngData(texts: [])
      files[row.after] = try pair.after.pngData(texts: [])
      files[row.difference] = try ImageComparison.heatMap(pair.before, pair.after).pngData(texts: [])
    }
    for (row, null) in zip(report.nulls.flatMap(\.rows), pictures.nulls.flatMap(\.rows)) {
      files[row.picture] = try null.picture.pngData(texts: [])
    }
    return files
  }
}

// MARK: An earlier report

extension AuditOutput {
  /// What every report has; its pictures it names itself.
  private static let fileNames = Set(AuditFormat.all.map(\.fileName))

  /// The part of a report that tells which files it has, of any version.
  private struct Names: Decodable {
    struct Picture: Decodable { var before, after, difference: String }
    struct Null: Decodable {
      struct Row: Decodable { var picture: String }
      var rows: [Row]
    }

    var schema: String
    var pictures: [Picture]
    var nulls: [Null]

    var all: [String] {
      pictures.flatMap { [$0.before, $0.after, $0.difference] } + nulls.flatMap { $0.rows.map(\.picture) }
    }
  }

  /// The files of the report in a folder, which holds nothing else.
  ///
  /// - Returns: `nil` for a folder without `report.json`, or none at all.
  /// - Throws: `AuditBatchError` when something else is in the folder, or when the file is not of an audit.
  static func files(ofReportIn folder: String) throws -> Set<String>? {
    let entries = FolderEntry.all(below: folder)
    guard entries.contains(where: { $0.relativePath == "report.json" && $0.kind == .file }) else { return nil }
    guard let text = FileManager.default.contents(atPath: "\(folder)/report.json"),
      let names = try? JSONDecoder().decode(Names.self, from: text), names.schema.hasPrefix("lathe.audit/")
    else { throw AuditBatchError(.noReport, path: folder) }
    // A report is a stranger's text: it cannot make other files its own.
    let pictures = names.all.filter { name in
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      return parts.count == 2 && parts[0] == "pictures" && parts[1].hasSuffix(".png") && !parts[1].hasPrefix(".")
    }
    let files = fileNames.union(pictures)
    for entry in entries where !(entry.kind == .folder && entry.relativePath == "pictures") {
      guard entry.kind == .file, files.contains(entry.relativePath) else {
        throw AuditBatchError(.foreignFile(entry.relativePath), path: folder)
      }
    }
    return files
  }
}
