/// One of the equal parts that rows are divided into: `2/4` has the second row and every fourth after it.
///
/// A row's place in the manifest decides, so all shards of the same count have every row exactly once between them, and
/// rows that are added at the end move no other.
public struct AuditShard: Equatable, Sendable {
  /// From 1.
  public let number: Int
  /// How many parts there are, 1 or more.
  public let count: Int

  /// Reads what `text` writes; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let number = parts[0], let count = parts[1], count >= 1, (1...count).contains(number) else {
      return nil
    }
    (self.number, self.count) = (number, count)
  }

  /// As on the command line: `2/4`.
  public var text: String { "\(number)/\(count)" }

  /// For the names of files: `2-of-4`.
  public var fileText: String { "\(number)-of-\(count)" }

  /// The elements that belong to this part, in their order.
  public func part<Element>(of all: [Element]) -> [Element] {
    stride(from: number - 1, to: all.count, by: count).map { all[$0] }
  }
}
