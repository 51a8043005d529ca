import Audit
import Factoring
import Foundation
import Kernels
import Recipes

/// Prompts in a file, with what belongs to each: one a line, or in YAML.
///
/// ```yaml
/// negative: blurry             # for all prompts that have none of their own
/// seed: 7
/// size: 512x512
/// strengths: [0.5, 0.8, 1]
/// prompts:
///   - a lighthouse, oil painting
///   - prompt: a portrait
///     negative: hat
///     seed: 3
///     size: 512x768
///     strengths: [0.8]
/// ```
struct SceneFile {
  struct Entry: Decodable {
    var prompt: String
    var negative: String?
    var seed: UInt64?
    var size: String?
    var strengths: [Double]?

    private enum Key: String, CodingKey, CaseIterable { case prompt, negative, seed, size, strengths }
    static let fields = Set(Key.allCases.map(\.rawValue))

    init(prompt: String) { self.prompt = prompt }

    init(from decoder: any Decoder) throws {
      if let text = try? decoder.singleValueContainer().decode(String.self) {
        prompt = text
        return
      }
      let container = try decoder.container(keyedBy: Key.self)
      prompt = try container.decode(String.self, forKey: .prompt)
      negative = try container.decodeIfPresent(String.self, forKey: .negative)
      seed = try container.decodeIfPresent(UInt64.self, forKey: .seed)
      size = try container.decodeIfPresent(String.self, forKey: .size)
      strengths = try container.decodeIfPresent([Double].self, forKey: .strengths)
    }
  }

  private struct Document: Decodable {
    var prompts: [Entry]
    var negative: String?
    var seed: UInt64?
    var size: String?
    var strengths: [Double]?
  }

  let entries: [Entry]
  /// For entries that have none of their own.
  let negative: String?
  let seed: UInt64?
  let strengths: [Double]?
  private let size: String?
  private let path: String

  /// - Throws: `RenderError` for lines, `RecipeError` for YAML that is not understood.
  init(path: String) throws {
    self.path = path
    guard path.hasSuffix(".yaml") || path.hasSuffix(".yml") else {
      entries = try PromptOptions.lines(of: path).map(Entry.init)
      (negative, seed, size, strengths) = (nil, nil, nil, nil)
      return
    }
    let source = try RecipeSource<Document>(
      path: path, fields: ["prompts", "negative", "seed", "size", "strengths"],
      entryFields: ["prompts": Entry.fields], limit: 4 << 20)
    let document = source.document
    guard !document.prompts.isEmpty else { throw source.fault("prompts: expected at least one, found none") }
    entries = document.prompts
    (negative, seed, size, strengths) = (document.negative, document.seed, document.size, document.strengths)
    for list in [strengths] + entries.map(\.strengths) {
      guard let list else { continue }
      guard !list.isEmpty, list.allSatisfy(\.isFinite) else {
        throw source.fault("strengths: expected at least one finite number")
      }
    }
    for text in [size] + entries.map(\.size) {
      if let text, PictureSize(argument: text) == nil {
        throw source.fault("size: expected a size such as 512x768, found \(text)")
      }
    }
  }

  /// The width and height of an entry's pictures; `nil` where nothing is said about them.
  func size(of entry: Entry) -> PictureSize? { (entry.size ?? size).flatMap { PictureSize(argument: $0) } }
}
