import Foundation
import TestSupport

/// A base with adapters small enough that an audit of their weights takes a few hundredths of a second, and manifests.
struct AuditBatchFixture {
  let folder: TemporaryFolder
  let base: String

  /// - Parameter adapters: files of different content, `1.safetensors` and on.
  init(adapters: Int = 2) throws {
    folder = try TemporaryFolder()
    base = try Fixture.base(in: folder)
    for number in 1...adapters { _ = try Fixture.adapter(in: folder, "\(number).safetensors", seed: UInt64(number)) }
  }

  var output: String { folder.file("audits") }

  @discardableResult
  func manifest(_ text: String, _ name: String = "pairs.csv") throws -> String {
    try folder.write(Array(text.utf8), to: name)
  }

  /// Rows `a`, `b`, … whose sides are the same adapter.
  func manifest(rows: Int) throws -> String {
    let names = "abcdefghijklmnopqrstuvwxyz".prefix(rows).map { "\($0),1.safetensors,1.safetensors\n" }
    return try manifest("name,before,after\n" + names.joined())
  }

  func run(_ manifest: String, _ arguments: [String] = []) throws -> Tool.Run {
    try Tool.run(self.arguments(manifest) + arguments)
  }

  func arguments(_ manifest: String) -> [String] {
    ["audit", base, "--manifest", manifest, "--weights-only", "--threads", "1", "-o", output]
  }

  /// The first fields of a table's lines, without the header.
  func names(in table: String) throws -> [String] {
    try text(table).split(separator: "\n").dropFirst().map { String($0.prefix { $0 != "," }) }
  }

  func text(_ file: String) throws -> String { try String(contentsOfFile: "\(output)/\(file)", encoding: .utf8) }

  /// What is in the output, hidden things too.
  var contents: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: output).sorted() } }

  func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(output)/\(file)") }
}

extension Tool.Run {
  var rows: [[String: Any]] { json["rows"] as? [[String: Any]] ?? [] }

  /// Names of the rows that an earlier run's result was kept for.
  var resumed: [String] {
    rows.filter { $0["is_resumed"] as? Bool == true }.compactMap { $0["name"] as? String }
  }
}
