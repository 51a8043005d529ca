import JSON

/// What a trainer wrote down about the training, in readable pieces.
public struct TrainingMetadata: Sendable {
  /// Tags of the training captions with how often each was seen, most frequent first.
  public let tags: [(tag: String, count: Int)]

  /// Reads kohya's `ss_` metadata; an adapter without them has no tags.
  public init(_ adapter: Adapter) {
    tags = Self.tags(in: adapter[metadata: "ss_tag_frequency"])
  }

  /// Counts are summed over all data sets; ties are in alphabetical order. Malformed JSON gives no tags.
  private static func tags(in text: String?) -> [(tag: String, count: Int)] {
    guard let text, let folders = JSONValue(parsing: text)?.object else { return [] }
    var counts: [String: Int] = [:]
    for folder in folders.values {
      for (tag, count) in folder.object ?? [:] {
        // Counts beyond all reason are cut, so that a sum cannot overflow.
        counts[tag.trimmed, default: 0] += Int(min(max(count.double ?? 0, 0), 1e12))
      }
    }
    return counts.map { ($0.key, $0.value) }.sorted { ($1.count, $0.tag) < ($0.count, $1.tag) }
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
