/// What the measures of a network must be like, wherever they were read, before anything is multiplied or made of them.
enum NetworkMeasures {
  /// Each level halves the picture: more would leave nothing of the largest.
  private static let mostLevels = 12
  /// Blocks of a level, layers of a text encoder: ten times those of the largest models.
  private static let mostBlocks = 512

  static func checkLevels(_ channels: [Int], _ field: String, file: String) throws(NetworkError) {
    guard (1...mostLevels).contains(channels.count), channels.allSatisfy({ $0 > 0 }) else {
      throw failure(field, "channels of 1 to \(mostLevels) levels", channels, file)
    }
  }

  static func checkCounts(_ counts: [Int], _ field: String, file: String) throws(NetworkError) {
    guard counts.allSatisfy({ (0...mostBlocks).contains($0) }) else {
      throw failure(field, "at most \(mostBlocks)", counts, file)
    }
  }

  /// Heads and groups divide channels evenly.
  static func check(_ channels: [Int], areMultiplesOf divisor: Int, _ field: String, file: String)
    throws(NetworkError)
  {
    guard divisor > 0, channels.allSatisfy({ $0 % divisor == 0 }) else {
      throw failure(
        field, "a number that divides \(channels.map(String.init).joined(separator: ", ")) evenly", [divisor], file)
    }
  }

  static func failure(_ field: String, _ expected: String, _ found: [Int], _ file: String) -> NetworkError {
    NetworkError(
      .configuration(field: field, expected: expected, found: found.map(String.init).joined(separator: ", ")),
      file: file)
  }
}
