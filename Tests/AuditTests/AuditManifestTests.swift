import Factoring
import Foundation
import TestSupport
import Testing

@testable import Audit

/// Manifests: all that spreadsheets write is read, and what is broken is named before anything is written.
@Suite struct AuditManifestTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Every text is an adapter, but for `bad`.
  private func rows(_ text: String, base: String? = "base") throws -> [AuditManifest.Row] {
    try AuditManifest(path: folder.write(Array(text.utf8), to: "list.csv"), base: base) {
      $0 == "bad" ? nil : AdapterInput(path: $0)
    }.rows
  }

  private func file(_ name: String) -> AdapterInput { AdapterInput(path: folder.file(name)) }

  @Test(
    "what spreadsheets write is read",
    arguments: [
      "name,before,after\na,x.st,y.st\nb,x.st,z.st\n",
      "name,before,after\na,x.st,y.st\nb,x.st,z.st",
      "\u{feff}name,before,after\na,x.st,y.st\nb,x.st,z.st\n",
      "name,before,after\r\na,x.st,y.st\r\nb,x.st,z.st\r\n",
      "name,before,after\ra,x.st,y.st\rb,x.st,z.st\r",
      "name,before,after\na,x.st,y.st\n\nb,x.st,z.st\n\n\n,,\n",
      "\"name\",\"before\",\"after\"\n\"a\",\"x.st\",\"y.st\"\n\"b\",x.st,\"z.st\"",
      "after, name ,before\ny.st, a,x.st\nz.st,b ,  x.st  \n",
      "name,prompts,before,base,after\na,,x.st,,y.st\nb,,x.st,,z.st\n",
    ])
  func read(text: String) throws {
    #expect(
      try rows(text) == [
        .init(name: "a", pair: .init(base: "base", before: [file("x.st")], after: [file("y.st")])),
        .init(name: "b", pair: .init(base: "base", before: [file("x.st")], after: [file("z.st")])),
      ])
  }

  @Test(
    "what is broken is named",
    arguments: [
      ("", "header: expected name,base,before,after,prompts, found nothing"),
      ("\n\n", "header: expected name,base,before,after,prompts, found nothing"),
      ("name,before,after\n", "expected at least one row, found none"),
      ("name,before,after,colour\na,x,y,red\n", "header: colour: expected only the columns"),
      ("Name,before,after\na,x,y\n", "header: Name: expected only the columns"),
      ("name;before;after\na;x;y\n", "hint: columns are separated by commas"),
      ("name,before,before\na,x,y\n", "header: before: expected one such column, found two"),
      ("name,before\na,x\n", "header: expected a column after, found none"),
      ("a,x,y\n", "header: a: expected only the columns"),
      ("name,before,after\na,x,y\nb,x\n", "row 3: expected 3 fields as in the header, found 2"),
      ("name,before,after\na,x,y,z\n", "row 2: expected 3 fields as in the header, found 4"),
      ("name,before,after\na,\"x,y\nb,x,y\n", "expected the end of a quoted field, found the end of the file"),
      ("name,before,after\na,x,\"", "expected the end of a quoted field, found the end of the file"),
      ("name,before,after\na,\"x\"y,z\n", "row 2: expected quotes around a whole field"),
      ("name,before,after\na,x\"y,z\n", "row 2: expected quotes around a whole field"),
      ("name,before,after\na,x\"\"y,z\n", "row 2: expected quotes around a whole field"),
      ("name,before,after\na,\"x\ny\",z\n", "row 2: expected names and paths on one line"),
      ("name,before,after\na,x\0,z\n", "row 2: expected names and paths on one line"),
      ("name,before,after\n,x,y\n", "row 2: name: expected one, found nothing"),
      ("name,before,after\na,,y\n", "row 2, a: before: expected FILE@STRENGTH, found nothing"),
      ("name,before,after\na,x,y;\n", "row 2, a: after: expected FILE@STRENGTH, found nothing"),
      ("name,before,after\na,x,bad\n", "row 2, a: after: expected FILE@STRENGTH, found \"bad\""),
    ])
  func broken(text: String, message: String) throws {
    let error = try #require(throws: AuditBatchError.self) { try rows(text) }
    #expect("\(error)".hasPrefix(folder.file("list.csv") + ": "))
    #expect("\(error)".contains(message), "\(error)")
  }

  @Test("a row needs a base, its own or that of all")
  func base() throws {
    #expect(throws: AuditBatchError.self) { try rows("name,before,after\na,x,y\n", base: nil) }
    #expect(try rows("name,base,before,after\na,m,x,y\n", base: nil)[0].pair.base == folder.file("m"))
  }

  @Test("two rows of one name are refused, also where only capital letters or the spelling of an accent differ")
  func repeated() throws {
    for other in ["caf\u{e9}", "Caf\u{e9}", "cafe\u{301}"] {
      let error = try #require(throws: AuditBatchError.self) {
        try rows("name,before,after\ncaf\u{e9},x,y\n\(other),x,y\n")
      }
      #expect("\(error)".contains("row 3: name: expected one that no other row has"))
      #expect("\(error)".contains("as in row 2"))
    }
  }
}
