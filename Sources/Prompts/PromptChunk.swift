/// The tokens that a text encoder sees at once: `begin`, up to 75 of the prompt, `end`, and padding.
public struct PromptChunk: Equatable, Sendable {
  /// How many tokens a chunk has.
  public static let length = 77
  /// How many of them can be the prompt's.
  public static let capacity = length - 2

  /// 77 tokens.
  public let ids: [Int32]
  /// 77 weights; 1 for `begin`, `end` and padding.
  public let weights: [Float]

  /// Whether any weight is other than 1.
  public var isWeighted: Bool { !weights.allSatisfy { $0 == 1 } }

  init(_ tokens: [WeightedToken], begin: Int32, end: Int32, padding: Int32) {
    precondition(tokens.count <= Self.capacity, "a chunk has room for 75 tokens of a prompt")
    let rest = Self.capacity - tokens.count
    ids = [begin] + tokens.map(\.id) + [end] + [Int32](repeating: padding, count: rest)
    weights = [1] + tokens.map(\.weight) + [Float](repeating: 1, count: rest + 1)
  }
}

/// A token of a prompt with its weight.
struct WeightedToken: Equatable {
  let id: Int32
  let weight: Float
}
