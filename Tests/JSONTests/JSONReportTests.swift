import Foundation
import Testing

@testable import JSON

/// JSON that scripts can parse whatever the numbers are.
@Suite struct JSONReportTests {
  struct Sample: JSONReport {
    static let schema = "lathe.sample/1"
    var relativeError: Double
    @Explicit var cosine: Double? = nil
    var energyRank: [String: Int] = ["0.5": 1]
    var metadata: [String: String] = ["ss_camelCase": "kept"]
  }

  private func fields(_ sample: Sample) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(try sample.jsonText().utf8)) as? [String: Any])
  }

  @Test("the schema is among the fields, names are in snake case, keys of maps are left alone")
  func names() throws {
    let fields = try fields(Sample(relativeError: 0.25, cosine: 0.5))
    #expect(fields["schema"] as? String == "lathe.sample/1")
    #expect(fields["relative_error"] as? Double == 0.25)
    #expect(fields["energy_rank"] as? [String: Int] == ["0.5": 1])
    #expect(fields["metadata"] as? [String: String] == ["ss_camelCase": "kept"])
  }

  @Test("a value that is missing is null, not absent")
  func null() throws { #expect(try fields(Sample(relativeError: 0))["cosine"] is NSNull) }

  @Test("infinity and NaN are words")
  func special() throws {
    #expect(try fields(Sample(relativeError: .infinity))["relative_error"] as? String == "Infinity")
    #expect(try fields(Sample(relativeError: .nan))["relative_error"] as? String == "NaN")
  }
}
