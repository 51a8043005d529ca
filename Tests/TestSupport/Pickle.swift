/// Pickle programs, instruction by instruction.
public enum Pickle {
  public static let start: [UInt8] = [0x80, 2]
  public static let stop: [UInt8] = Array(".".utf8)
  public static let mark: [UInt8] = Array("(".utf8)
  public static let emptyDictionary: [UInt8] = Array("}".utf8)
  public static let emptyList: [UInt8] = Array("]".utf8)
  public static let reduce: [UInt8] = Array("R".utf8)

  public static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  public static func string(_ text: String) -> [UInt8] {
    Array("X".utf8) + StoredZip.four(UInt32(text.utf8.count)) + Array(text.utf8)
  }
  /// Any whole number: LONG1 with eight bytes.
  public static func int(_ value: Int) -> [UInt8] {
    [0x8a, 8] + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
  public static func tuple(_ items: [UInt8]...) -> [UInt8] { mark + items.flatMap { $0 } + Array("t".utf8) }
  public static func ints(_ values: [Int]) -> [UInt8] { mark + values.flatMap { int($0) } + Array("t".utf8) }

  /// A tensor as `torch.save` writes it.
  public static func tensor(
    storage type: String = "FloatStorage", key: String = "0", elements: Int, offset: Int = 0, shape: [Int],
    strides: [Int]
  ) -> [UInt8] {
    global("torch._utils", "_rebuild_tensor_v2")
      + tuple(
        tuple(string("storage"), global("torch", type), string(key), string("cpu"), int(elements)) + Array("Q".utf8),
        int(offset), ints(shape), ints(strides), [0x89], global("collections", "OrderedDict") + Array(")R".utf8))
      + reduce
  }

  public static func dictionary(_ items: [(String, [UInt8])]) -> [UInt8] {
    emptyDictionary + mark + items.flatMap { string($0.0) + $0.1 } + Array("u".utf8)
  }
}

extension StoredZip {
  /// A file as `torch.save` lays it out.
  public static func torch(_ program: [UInt8], storages: [String: [UInt8]] = [:], more: [Entry] = []) -> StoredZip {
    StoredZip(
      entries: [Entry(name: "archive/data.pkl", contents: program)]
        + storages.sorted { $0.key < $1.key }.map { Entry(name: "archive/data/\($0.key)", contents: $0.value) }
        + [Entry(name: "archive/version", contents: Array("3\n".utf8))] + more)
  }
}

/// The little-endian bytes of single-precision numbers.
public func floats(_ values: [Float]) -> [UInt8] { values.flatMap { StoredZip.four($0.bitPattern) } }
