import Testing

@testable import Audit

@Suite struct AuditShardTests {
  @Test("shards have every row exactly once between them", arguments: [1, 2, 3, 7, 12])
  func shards(count: Int) throws {
    let parts = (1...count).map { AuditShard("\($0)/\(count)")!.part(of: Array(0..<10)) }
    #expect(parts.joined().sorted() == Array(0..<10))
    // Rows added at the end move no other.
    for number in 1...count {
      let longer = AuditShard("\(number)/\(count)")!.part(of: Array(0..<13))
      #expect(longer.filter { $0 < 10 } == parts[number - 1])
    }
  }

  @Test("a shard that is none is refused", arguments: ["0/4", "5/4", "4", "1/0", "-1/2", "1/2/3", "a/b", ""])
  func badShard(text: String) { #expect(AuditShard(text) == nil) }
}
