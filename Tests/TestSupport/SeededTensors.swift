import FoundationEssentials
public import Tensors

/// Tensors too large to store, drawn from a golden's `seeded.json`; see `Tests/Goldens/diffusion/README.md`.
public struct SeededTensors: Sendable {
  public struct Entry: Decodable, Sendable {
    public let name: String
    public let shape: [Int]
    /// The name in the author's files, where the tensor has two.
    public let original: String?
    let seed: UInt64
    let scale: Float
    let offset: Float
    let first: [Float]
  }

  /// A tensor that is not listed, or whose first values are not those that are.
  public struct Failure: Error { public let tensor: String }

  public let entries: [Entry]
  private let places: [String: Int]

  /// - Parameter folder: below `Tests/Goldens`.
  public init(folder: String) throws {
    entries = try JSONDecoder().decode([Entry].self, from: Goldens.data("\(folder)/seeded.json"))
    places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
  }

  public func hasTensor(_ name: String) -> Bool { places[name] != nil }

  public func tensor(_ name: String) throws -> Tensor {
    guard let place = places[name] else { throw Failure(tensor: name) }
    return try tensor(entries[place])
  }

  public func tensor(_ entry: Entry) throws -> Tensor {
    var generator = SplitMix64(seed: entry.seed)
    let values = (0..<entry.shape.reduce(1, *)).map { _ -> Float in
      let x = Float(Int(generator.next() >> 40) - (1 << 23)) * 0x1p-23
      let product = entry.scale * x
      return entry.offset + product
    }
    guard Array(values.prefix(entry.first.count)) == entry.first else { throw Failure(tensor: entry.name) }
    return Tensor(dtype: .f32, shape: Shape(entry.shape), bytes: Bytes(copying: values))
  }
}
