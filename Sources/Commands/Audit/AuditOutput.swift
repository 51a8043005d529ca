import Audit
import Foundation
import Images
import Reports
import Safetensors

/// The folder that a report goes into: complete, or not there.
struct AuditOutput {
  private let path: String
  /// The report to open first.
  var page: String { "\(path)/report.html" }
  /// The report of an earlier audit, which is replaced.
  private let isReplacing: Bool

  /// Fails early, before any work, when the folder could not be written.
  ///
  /// - Throws: `SafetensorsError.folderExists` for a folder that exists, also with `overwriting` when it is no report's.
  init(_ path: String, overwriting: Bool) throws {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    isReplacing = overwriting && FileManager.default.fileExists(atPath: "\(self.path)/report.json")
    if !isReplacing { try StagedFolder.checkDestination(self.path) }
  }

  func write(_ report: AuditReport, _ result: AuditResult) throws {
    let folder = try StagedFolder(for: path, replacing: isReplacing)
    let pictures = try pictures(report, result)
    for (name, bytes) in pictures.sorted(by: { $0.key < $1.key }) { try write(bytes, name, folder) }
    let texts = [
      "report.json": try report.jsonText(), "report.html": try report.html(pictures: pictures),
      "report.md": report.markdown, "checks.csv": report.checksCSV, "targets.csv": report.targetsCSV,
      "pictures.csv": report.picturesCSV,
    ]
    for (name, text) in texts.sorted(by: { $0.key < $1.key }) { try write(Array(text.utf8), name, folder) }
    try folder.commit()
  }

  private func write(_ bytes: [UInt8], _ name: String, _ folder: StagedFolder) throws {
    let file = try TemporaryFile(for: folder.place(for: name), overwriting: false)
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
