public import FoundationEssentials

/// A report as one JSON object.
public protocol JSONReport: Encodable, Sendable {
  /// For example `lathe.inspect/1`; the number changes when a field changes its meaning.
  static var schema: String { get }
}

extension JSONReport {
  /// The object with its schema, keys sorted, on lines of its own.
  public func jsonText() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // JSON has no infinity: a relative error against nothing is null-like, and scripts must not choke on it.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(Versioned(report: self)), as: UTF8.self) + "\n"
  }
}

/// A report with its schema among its fields.
private struct Versioned<Report: JSONReport>: Encodable {
  let report: Report

  private enum Key: String, CodingKey { case schema }

  func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(Report.schema, forKey: .schema)
  }
}

/// Several reports of one kind, where a command was given several files.
public struct ReportList<Report: JSONReport>: JSONReport {
  /// That of the single reports, so that readers need to know one only.
  public static var schema: String { Report.schema }
  /// In the order in which the files were given.
  public let files: [Report]
  /// Reports of one schema, in the order of their files.
  public init(_ files: [Report]) { self.files = files }
}

extension JSONReport where Self: Decodable {
  /// Reads what `jsonText` wrote.
  ///
  /// - Throws: `DecodingError`, also for a report of another schema.
  public init(jsonText: some DataProtocol) throws {
    guard jsonText.count <= JSONValue.mostBytes,
      let value = JSONValue(parsing: String(decoding: jsonText, as: UTF8.self))
    else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "expected a report, found something else"))
    }
    let schema = try value.decoded(SchemaName.self).schema
    guard schema == Self.schema else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "schema: expected \(Self.schema), found \(schema)"))
    }
    self = try value.decoded(Self.self, spelling: .report)
  }
}

private struct SchemaName: Decodable { let schema: String }
