import FoundationEssentials
public import Safetensors
public import Tensors

/// `Tests/Goldens/bake/expected.json`: tiny base models, adapters for them, and what other libraries bake of both.
///
/// Values are not stored: they follow from names. `Tests/Goldens/bake/make.py` explains every field.
public struct BakeGolden: Decodable, Sendable {
  public let formula: Formula
  public let models: [String: Model]
  public let adapters: [String: AdapterFile]
  public let cases: [Case]

  public struct Formula: Decodable, Sendable {
    let base_exponent: Int
    let factor_exponent: Int
    let bits: [String: Int]
  }

  public struct Model: Decodable, Sendable {
    public let networks: [Network]
    public let extras: [Extra]
    /// Whether the original authors' layout is known too.
    public var hasOriginal: Bool { networks.contains { $0.original != nil } }
  }

  public struct Network: Decodable, Sendable {
    public let folder: String
    let file: String
    let config: String
    public let prefix: String?
    public let weights: [Weight]
    public let original: [Original]?
  }

  /// A weight by its name in a folder of diffusers or transformers.
  public struct Weight: Decodable, Sendable {
    public let name: String
    public let shape: [Int]
    public init(from decoder: any Decoder) throws {
      var row = try decoder.unkeyedContainer()
      name = try row.decode(String.self)
      shape = try row.decode([Int].self)
    }
    var count: Int { shape.reduce(1, *) }
  }

  /// A tensor of the original layout: the rows of some weights below each other.
  public struct Original: Decodable, Sendable {
    public enum Operation: String, Decodable, Sendable { case swap, transpose }
    public let name: String
    /// Indices into the network's weights.
    public let parts: [Int]
    public let operation: Operation?
    public init(from decoder: any Decoder) throws {
      var row = try decoder.unkeyedContainer()
      name = try row.decode(String.self)
      parts = try row.decode([Int].self)
      operation = row.isAtEnd ? nil : try row.decode(Operation.self)
    }
  }

  /// A tensor of a single file that belongs to no network.
  public struct Extra: Decodable, Sendable {
    let name: String
    let dtype: String
    let shape: [Int]
    public init(from decoder: any Decoder) throws {
      var row = try decoder.unkeyedContainer()
      name = try row.decode(String.self)
      dtype = try row.decode(String.self)
      shape = try row.decode([Int].self)
    }
  }

  public struct AdapterFile: Decodable, Sendable {
    struct Entry: Decodable, Sendable {
      let key: String
      let shape: [Int]
      let value: Double?
      init(from decoder: any Decoder) throws {
        var row = try decoder.unkeyedContainer()
        key = try row.decode(String.self)
        shape = try row.decode([Int].self)
        value = row.isAtEnd ? nil : try row.decode(Double.self)
      }
    }
    let dtype: String
    let metadata: [String: String]
    let config: String?
    let tensors: [Entry]
  }

  /// An adapter of a case, with its strengths.
  public struct Use: Decodable, Sendable {
    public let adapter: String
    public let strengths: [Double]
    public init(from decoder: any Decoder) throws {
      var row = try decoder.unkeyedContainer()
      adapter = try row.decode(String.self)
      var strengths: [Double] = []
      while !row.isAtEnd { strengths.append(try row.decode(Double.self)) }
      self.strengths = strengths
    }
  }

  public struct Change: Decodable, Sendable {
    public let sum: Double
    public let norm: Double
    public let sample: [Double]
    public let exact: [Double]?
  }

  public struct Case: Decodable, Sendable, CustomStringConvertible {
    public let name: String
    public let model: String
    public let dtype: String
    public let adapters: [Use]
    public let oracle: String
    public let gap: Double
    /// By folder and name.
    public let changed: [String: Change]
    public var description: String { "\(name) (\(oracle))" }
  }

  public static let all: BakeGolden = {
    do {
      return try JSONDecoder().decode(BakeGolden.self, from: Goldens.data("bake/expected.json"))
    } catch { fatalError("Tests/Goldens/bake/expected.json: \(error)") }
  }()

  /// Where element `k` of a sample is.
  public static func place(_ k: Int, in count: Int) -> Int { (k * 7919 + 13) % count }
}

/// How a base checkpoint lies on disk.
public enum BakeLayout: String, Sendable, CaseIterable {
  /// diffusers' folders, or the folder of a transformers model.
  case folder
  /// The same in two shards for each network.
  case sharded
  /// The original authors' names, in one file where the model is of several networks.
  case original
}

extension BakeGolden {
  // MARK: Values

  /// The values of a tensor, exact in its number format.
  private func values(_ label: String, count: Int, dtype: DType, exponent: Int) -> [Double] {
    guard let bits = formula.bits[dtype.rawValue] else { preconditionFailure("no formula for \(dtype.rawValue)") }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    var generator = SplitMix64(seed: hash)
    let half = 1 << (bits - 1), unit = Double(sign: .plus, exponent: exponent + 1 - bits, significand: 1)
    return (0..<count).map { _ in Double(Int(generator.next() >> UInt64(64 - bits)) - half) * unit }
  }

  /// The values of a base weight.
  public func values(of weight: Weight, in network: Network, model: String, dtype: DType) -> [Double] {
    values(
      "\(model)/\(network.folder)/\(weight.name)", count: weight.count, dtype: dtype, exponent: formula.base_exponent)
  }

  // MARK: Base checkpoints

  /// Writes a base checkpoint and returns its path, or `nil` when the model has no such layout.
  public func writeBase(_ name: String, dtype: DType, as layout: BakeLayout, in folder: TemporaryFolder) throws
    -> String?
  {
    let model = models[name]!, root = folder.file("base")
    if layout == .original, !model.hasOriginal { return nil }
    let isSingle = layout == .original && model.networks.count > 1
    if isSingle {
      var tensors: [NamedValues] = []
      for network in model.networks {
        tensors += originals(of: network, model: name, dtype: dtype).map {
          (network.prefix! + $0.name, $0.shape, dtype, $0.values)
        }
      }
      for extra in model.extras {
        tensors.append(
          (extra.name, extra.shape, DType(rawValue: extra.dtype)!, (0..<extra.shape.reduce(1, *)).map(Double.init)))
      }
      try writeAdapter(
        to: root + ".safetensors", tensors: tensors,
        metadata: [("modelspec.title", "tiny"), ("modelspec.prediction_type", "v"), ("format", "pt")])
      return root + ".safetensors"
    }
    if model.networks.count > 1 {
      try Self.write(#"{"_class_name":"DiffusionPipeline"}"#, to: "\(root)/model_index.json")
      try Self.write("{}", to: "\(root)/tokenizer/vocab.json")
    }
    for network in model.networks {
      let folder = network.folder.isEmpty ? root : "\(root)/\(network.folder)"
      try Self.write(network.config, to: "\(folder)/config.json")
      let tensors: [NamedValues] =
        layout == .original
        ? originals(of: network, model: name, dtype: dtype).map { ($0.name, $0.shape, dtype, $0.values) }
        : network.weights.map {
          ($0.name, $0.shape, dtype, values(of: $0, in: network, model: name, dtype: dtype))
        }
      if layout == .sharded {
        try Self.writeShards(tensors, of: network.file, in: folder)
      } else {
        try writeAdapter(to: "\(folder)/\(network.file)", tensors: tensors, metadata: [("format", "pt")])
      }
    }
    return root
  }

  private static func write(_ text: String, to path: String) throws {
    let url = URL(filePath: path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  /// Shards that share the tensors out in turn, so that the weights of one layer lie in both.
  private static func writeShards(_ tensors: [NamedValues], of file: String, in folder: String) throws {
    let stem = file.replacing(".safetensors", with: "")
    let names = (1...2).map { "\(stem)-0000\($0)-of-00002.safetensors" }
    for (place, name) in names.enumerated() {
      let own = tensors.enumerated().filter { $0.offset % 2 == place }.map(\.element)
      try writeAdapter(to: "\(folder)/\(name)", tensors: own, metadata: [("format", "pt")])
    }
    let map = tensors.enumerated().map { "\"\($1.name)\":\"\(names[$0 % 2])\"" }.joined(separator: ",")
    let size = tensors.reduce(0) { $0 + $1.values.count * $1.dtype.bits / 8 }
    try write(#"{"metadata":{"total_size":\#(size)},"weight_map":{\#(map)}}"#, to: "\(folder)/\(file).index.json")
  }

  /// The tensors of a network in its original layout.
  private func originals(of network: Network, model: String, dtype: DType) -> [(
    name: String, shape: [Int], values: [Double]
  )] {
    (network.original ?? []).map { original in
      let parts = original.parts.map { network.weights[$0] }
      let joined = parts.flatMap { values(of: $0, in: network, model: model, dtype: dtype) }
      var shape = parts[0].shape
      if !shape.isEmpty { shape[0] = parts.reduce(0) { $0 + $1.shape[0] } }
      switch original.operation {
      case nil: return (original.name, shape, joined)
      case .swap: return (original.name, shape, Self.swapped(joined))
      case .transpose:
        return (original.name, shape.reversed(), Dense.transposed(joined, rows: shape[0], columns: shape[1]))
      }
    }
  }

  private static func swapped(_ values: [Double]) -> [Double] {
    Array(values[(values.count / 2)...] + values[..<(values.count / 2)])
  }

  // MARK: Adapters

  /// Writes an adapter and returns its path.
  public func writeAdapterFile(_ name: String, in folder: TemporaryFolder) throws -> String {
    let file = adapters[name]!, dtype = DType(rawValue: file.dtype)!
    let tensors: [NamedValues] = file.tensors.map { entry in
      let count = entry.shape.reduce(1, *)
      return (
        entry.key, entry.shape, dtype,
        entry.value.map { [$0] }
          ?? values("\(name)/\(entry.key)", count: count, dtype: dtype, exponent: formula.factor_exponent)
      )
    }
    guard let config = file.config else {
      let path = folder.file("\(name).safetensors")
      try writeAdapter(to: path, tensors: tensors, metadata: file.metadata.sorted { $0.key < $1.key }.map { ($0, $1) })
      return path
    }
    try Self.write(config, to: folder.file("\(name)/adapter_config.json"))
    try writeAdapter(to: folder.file("\(name)/adapter_model.safetensors"), tensors: tensors)
    return folder.file(name)
  }

  // MARK: Reading back

  /// The weights of a checkpoint by folder and name, taken apart by this file's own rules.
  ///
  /// - Parameter files: with the paths relative to the checkpoint's folder.
  public func weights(
    of model: String, in layout: BakeLayout, files: [(path: String, contents: SafetensorsFile)]
  ) -> [String: [Double]] {
    let model = models[model]!
    var result: [String: [Double]] = [:]
    for network in model.networks {
      if layout == .original {
        for original in network.original ?? [] {
          let name = network.prefix! + original.name
          guard let tensor = files.lazy.compactMap({ $0.contents[name] }).first else { continue }
          var values = tensor.doubles()
          switch original.operation {
          case nil: break
          case .swap: values = Self.swapped(values)
          case .transpose: values = Dense.transposed(values, rows: tensor.shape[0], columns: tensor.shape[1])
          }
          for part in original.parts.map({ network.weights[$0] }) {
            result["\(network.folder)/\(part.name)"] = Array(values.prefix(part.count))
            values.removeFirst(min(part.count, values.count))
          }
        }
      } else {
        let own = files.filter { $0.path.split(separator: "/").dropLast().joined(separator: "/") == network.folder }
        for weight in network.weights {
          guard let tensor = own.lazy.compactMap({ $0.contents[weight.name] }).first else { continue }
          result["\(network.folder)/\(weight.name)"] = tensor.doubles()
        }
      }
    }
    return result
  }
}
