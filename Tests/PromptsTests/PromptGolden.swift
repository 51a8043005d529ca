import FoundationEssentials
import TestSupport

/// `Tests/Goldens/prompts/prompts.json`: prompts with what the rules of other programs make of them.
struct PromptGolden: Decodable, Sendable {
  /// A text with its weight; nil ends a chunk.
  struct Piece: Decodable, Sendable {
    let text: String
    let weight: Double

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      text = try values.decode(String.self)
      weight = try values.decode(Double.self)
    }
  }
  struct Weights: Decodable, Sendable {
    let prompt: String
    /// Nil where A1111 would schedule the prompt.
    let a1111: [Piece?]?
    let comfy: [Piece]
  }
  /// The prompt's own tokens in a chunk.
  struct Content: Decodable, Sendable {
    let ids: [Int32]
    let weights: [Double]
  }
  struct Chunks: Decodable, Sendable {
    let prompt: String
    let a1111: [Content]
    let comfy: [Content]
    let plain: [Int32]
  }
  struct Weighting: Decodable, Sendable {
    let weights: [Float]
    let output: [Float]
    let empty: [Float]
    let product: [Float]
    let restoringMean: [Float]
    let awayFromEmpty: [Float]
  }

  let weights: [Weights]
  let chunks: [Chunks]
  let weighting: [Weighting]

  static let all: PromptGolden = {
    do {
      return try JSONDecoder().decode(PromptGolden.self, from: Goldens.data("prompts/prompts.json"))
    } catch { fatalError("Tests/Goldens/prompts/prompts.json: \(error)") }
  }()
}

/// `Tests/Goldens/prompts/tokens.json`: texts and what transformers' tokenizer makes of them.
struct TokenGolden: Decodable, Sendable {
  struct Text: Decodable, Sendable {
    let text: String
    let ids: [Int32]
  }

  let seed: Int
  let texts: [Text]
}

/// `Tests/Goldens/prompts/characters.json`: every scalar's class, and what the normaliser makes of scalars and sequences.
struct CharacterGolden: Decodable, Sendable {
  let seed: Int
  let ranges: [String: [[UInt32]]]
  /// Each scalar that changes, and what it becomes.
  let changed: [[String]]
  /// Sequences, and what they become.
  let sequences: [[String]]

  static let all: CharacterGolden = {
    do {
      return try JSONDecoder().decode(CharacterGolden.self, from: Goldens.data("prompts/characters.json"))
    } catch { fatalError("Tests/Goldens/prompts/characters.json: \(error)") }
  }()
}

/// The scalars of a text in hexadecimal digits, for messages.
func hexadecimal(_ text: String) -> String {
  text.unicodeScalars.map { String($0.value, radix: 16) }.joined(separator: " ")
}
