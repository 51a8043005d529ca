/// A1111's rule for long prompts: when a chunk is full and a comma is among its last 20 tokens, what follows that comma
/// moves to the next chunk.
struct CommaChunks {
  /// How far back a comma may be.
  private static let reach = 20

  private let comma: Int32
  private var finishedChunks: [[WeightedToken]] = []
  private var chunk: [WeightedToken] = []
  /// Where in `chunk` the last comma is.
  private var lastComma: Int?

  init(comma: Int32) { self.comma = comma }

  mutating func append(_ token: WeightedToken) {
    if chunk.count == PromptChunk.capacity {
      var moved: [WeightedToken] = []
      // A comma that comes next ends a thought itself: nothing moves.
      if token.id != comma, let lastComma, chunk.count - lastComma <= Self.reach {
        moved = Array(chunk[(lastComma + 1)...])
        chunk.removeSubrange((lastComma + 1)...)
      }
      endChunk()
      chunk = moved
      chunk.append(token)
      return
    }
    if token.id == comma { lastComma = chunk.count }
    chunk.append(token)
  }

  /// Ends the chunk, even an empty one.
  mutating func endChunk() {
    finishedChunks.append(chunk)
    chunk = []
    lastComma = nil
  }

  /// All chunks; at least one.
  mutating func finished() -> [[WeightedToken]] {
    if !chunk.isEmpty || finishedChunks.isEmpty { endChunk() }
    return finishedChunks
  }
}
