import Checkpoints
import JSON
import Models

/// Reads fields of a network's JSON configuration, and refuses what the engine cannot compute.
struct ConfigurationReader {
  private let fields: [String: JSONValue]
  private let file: String

  init(_ fields: [String: JSONValue], file: String) {
    self.fields = fields
    self.file = file
  }

  private func value(_ name: String) -> JSONValue? { fields[name].flatMap { $0 == .null ? nil : $0 } }

  private func failure(_ name: String, expected: String) -> NetworkError {
    NetworkError(
      .configuration(field: name, expected: expected, found: value(name).map { $0.compactText } ?? "nothing"),
      file: file)
  }

  /// As many channels as no network has: products of three such numbers can be computed.
  private static let most = 1 << 20

  func optionalInteger(_ name: String) throws -> Int? {
    try value(name).map { _ in try integer(name, default: 0) }
  }

  func integer(_ name: String, default usual: Int) throws -> Int {
    guard let value = value(name) else { return usual }
    guard let integer = value.integer, integer > 0 else { throw failure(name, expected: "a number above 0") }
    guard integer <= Self.most else { throw failure(name, expected: "a number up to \(Self.most)") }
    return integer
  }

  func number(_ name: String, default usual: Double) throws -> Double {
    guard let value = value(name) else { return usual }
    guard let number = value.double, number.isFinite else { throw failure(name, expected: "a number") }
    return number
  }

  func bool(_ name: String, default usual: Bool) throws -> Bool {
    guard let value = value(name) else { return usual }
    guard let bool = value.bool else { throw failure(name, expected: "true or false") }
    return bool
  }

  func integers(_ name: String) throws -> [Int] {
    let items = value(name)?.array ?? [], integers = items.compactMap(\.integer)
    guard !items.isEmpty, integers.count == items.count, integers.allSatisfy({ $0 > 0 && $0 <= Self.most }) else {
      throw failure(name, expected: "a list of numbers from 1 to \(Self.most)")
    }
    return integers
  }

  /// One number for each level, or the same for all.
  func integers(_ name: String, count: Int, default usual: Int) throws -> [Int] {
    guard value(name)?.array != nil else { return Array(repeating: try integer(name, default: usual), count: count) }
    let integers = try integers(name)
    guard integers.count == count else { throw failure(name, expected: "\(count) numbers") }
    return integers
  }

  func strings(_ name: String) -> [String] { value(name)?.array?.compactMap(\.string) ?? [] }

  /// Every string of the list must be one of `known`.
  func expect(_ name: String, among known: [String]) throws {
    let found = strings(name)
    guard !found.isEmpty, found.allSatisfy(known.contains) else {
      throw failure(name, expected: known.joined(separator: " or "))
    }
  }

  /// The field has its usual value, which it also has when it is missing.
  func expect(_ name: String, _ usual: String) throws {
    // Null is a value here: without a middle block, `mid_block_type` is null.
    guard let value = fields[name] else { return }
    guard value.string == usual else { throw failure(name, expected: usual) }
  }

  func expect(_ name: String, _ usual: Double) throws {
    guard let value = value(name) else { return }
    guard value.double == usual else { throw failure(name, expected: JSONValue.number(usual).compactText) }
  }

  /// - Note: some fields may have a list with one for each level.
  func expect(_ name: String, _ usual: Bool) throws {
    guard let value = value(name) else { return }
    guard (value.array ?? [value]).allSatisfy({ $0.bool == usual }) else { throw failure(name, expected: "\(usual)") }
  }

  func expectNothing(_ name: String) throws {
    if value(name) != nil { throw failure(name, expected: "nothing") }
  }
}

extension JSONValue {
  fileprivate var integer: Int? { if case .int(let value) = self { value } else { nil } }
  fileprivate var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }
  fileprivate var compactText: String { text.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
}

/// The shapes of a component's weights by their names in diffusers' dialect.
struct WeightShapes {
  private let shapes: [String: [Int]]

  init(_ checkpoint: Checkpoint, _ component: Component) {
    shapes = Dictionary(
      checkpoint.names(of: component).compactMap { name in
        checkpoint.weight(named: WeightName(component, name)).map { (name, $0.shape.extents) }
      }, uniquingKeysWith: { first, _ in first })
  }

  subscript(_ name: String) -> [Int]? { shapes[name] }

  /// How many names there are with 0, 1, 2… in place of the star.
  func count(_ pattern: String) -> Int {
    let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
    var count = 0
    while shapes["\(parts[0])\(count)\(parts[1])"] != nil { count += 1 }
    return count
  }
}
