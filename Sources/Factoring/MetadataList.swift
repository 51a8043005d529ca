/// Metadata in its order, each key once.
///
/// Strangers' files may have a hundred thousand entries, so that no key is looked for among all others.
package struct MetadataList {
  package private(set) var entries: [(key: String, value: String)] = []
  private var places: [String: Int] = [:]

  package init() {}

  package var isEmpty: Bool { entries.isEmpty }

  package subscript(_ key: String) -> String? { places[key].map { entries[$0].value } }

  /// Gives the key its value: where it stands already, or at the end.
  package mutating func set(_ key: String, _ value: String) {
    if let place = places[key] {
      entries[place].value = value
    } else {
      places[key] = entries.count
      entries.append((key, value))
    }
  }

  /// Adds what is not there yet.
  package mutating func add(
    _ others: [(key: String, value: String)], where isWanted: (_ key: String, _ value: String) -> Bool
  ) {
    for entry in others where places[entry.key] == nil && isWanted(entry.key, entry.value) {
      set(entry.key, entry.value)
    }
  }

  package mutating func removeAll(_ keys: Set<String>) {
    self = entries.reduce(into: MetadataList()) { if !keys.contains($1.key) { $0.set($1.key, $1.value) } }
  }
}

extension Double {
  /// An alpha as metadata tells it: a whole number without a point, any other one in the fewest digits that say it in
  /// single precision, which is how alphas are stored.
  package var alphaText: String {
    if magnitude <= 0x1p53, let whole = Int(exactly: self) { return "\(whole)" }
    let single = Float(self)
    return Double(single) == self ? "\(single)" : "\(self)"
  }
}
