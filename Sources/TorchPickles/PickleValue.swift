/// What a pickle can hold, as far as torch files need it.
indirect enum PickleValue {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case bytes([UInt8])
  case tuple(Reference<[PickleValue]>)
  case list(Reference<[PickleValue]>)
  case dictionary(Reference<[(key: PickleValue, value: PickleValue)]>)
  /// A name that the pickle would import. It is only remembered, never looked up.
  case global(module: String, name: String)
  case storage(Storage)
  case tensor(StoredView)
  /// NumPy's name of a number format, such as `f4`.
  case numberFormat(String)
  /// Something else that was built by a call, in words; its contents are of no interest.
  case opaque(String)

  /// Lists and dictionaries are filled after the pickle has referred to them. Made by a `PickleHeap` only.
  final class Reference<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
  }

  struct Storage {
    var type: String
    var key: String
    var count: Int
  }

  /// A tensor as a window on a storage, in elements.
  struct StoredView {
    var storage: Storage
    var offset: Int
    var extents: [Int]
    var strides: [Int]
    /// torch's name of the number format: the storage's class, or what the tensor says of a storage without one.
    var elementType: String
  }

  /// Whether it is a dictionary in which something is true: what a tensor's last argument says is still to be done to it.
  var saysTrue: Bool {
    guard case .dictionary(let pairs) = self else { return false }
    return pairs.value.contains { if case .bool(true) = $0.value { true } else { false } }
  }

  var ints: [Int]? {
    guard case .tuple(let items) = self else { return nil }
    let ints = items.value.compactMap { if case .int(let value) = $0 { value } else { nil as Int? } }
    return ints.count == items.value.count ? ints : nil
  }
}

/// Owns all containers of a pickle and takes them apart at the end.
///
/// A hostile pickle may nest values a million deep or make a list contain itself. Releasing such a chain link by link
/// would overflow the stack, and a ring would never be released; with an owner of its own, each container goes alone.
final class PickleHeap {
  typealias Items = [PickleValue]
  typealias Pairs = [(key: PickleValue, value: PickleValue)]
  private var sequences: [PickleValue.Reference<Items>] = []
  private var dictionaries: [PickleValue.Reference<Pairs>] = []

  /// How many containers there are.
  var count: Int { sequences.count + dictionaries.count }

  func tuple(_ items: Items) -> PickleValue { .tuple(sequence(items)) }
  func list() -> PickleValue { .list(sequence([])) }

  func dictionary() -> PickleValue {
    dictionaries.append(.init([]))
    return .dictionary(dictionaries.last!)
  }

  private func sequence(_ items: Items) -> PickleValue.Reference<Items> {
    sequences.append(.init(items))
    return sequences.last!
  }

  /// Empties every container. Values of the pickle must not be used afterwards.
  func clear() {
    for sequence in sequences { sequence.value = [] }
    for dictionary in dictionaries { dictionary.value = [] }
    (sequences, dictionaries) = ([], [])
  }
}
