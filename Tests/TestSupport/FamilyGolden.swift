import FoundationEssentials
import Models

/// `Tests/Goldens/names/families.json`: the modules of a real model that an adapter can change, with their shapes.
public struct FamilyGolden: Sendable, CustomStringConvertible {
  public struct Module: Sendable {
    public let name: String
    public let shape: [Int]

    public init(name: String, shape: [Int]) { (self.name, self.shape) = (name, shape) }
  }

  public let name: String
  /// What `Family` calls it; `nil` for a model that has no map.
  public let family: String?
  public let diffusers: [Module]
  /// The same in the authors' names, where they are known.
  public let original: [Module]?

  public var description: String { name }

  public static let all: [FamilyGolden] = {
    struct Document: Decodable {
      struct Model: Decodable {
        let name: String
        let family: String?
        let diffusers: [String: Entry]
        let original: [String: Entry]?
      }
      let models: [Model]
    }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("names/families.json")).models.map { model in
        FamilyGolden(
          name: model.name, family: model.family, diffusers: unfolded(model.diffusers),
          original: model.original.map(unfolded))
      }
    } catch { fatalError("Tests/Goldens/names/families.json: \(error)") }
  }()

  public static func named(_ name: String) -> FamilyGolden { all.first { $0.name == name }! }

  /// The shape that all blocks have, and the blocks' numbers: `[[3072, 64]]`, `[[3072, 64], 19]`, `[[3072, 64], [2, 5]]`.
  private struct Entry: Decodable {
    let shape: [Int]
    let blocks: [Int]?

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      shape = try values.decode([Int].self)
      guard !values.isAtEnd else {
        blocks = nil
        return
      }
      blocks = try (try? values.decode(Int.self)).map { Array(0..<$0) } ?? values.decode([Int].self)
    }
  }

  private static func unfolded(_ entries: [String: Entry]) -> [Module] {
    entries.sorted { $0.key < $1.key }.flatMap { pattern, entry -> [Module] in
      guard let blocks = entry.blocks else { return [Module(name: pattern, shape: entry.shape)] }
      let place = pattern.firstIndex(of: "*")!
      return blocks.map { number in
        Module(name: "\(pattern[..<place])\(number)\(pattern[pattern.index(after: place)...])", shape: entry.shape)
      }
    }
  }
}
