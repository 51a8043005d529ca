/// What a pickle can hold, as far as torch files need it.
indirect enum PickleValue {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case bytes([UInt8])
  case tuple([PickleValue])
  case list(Reference<[PickleValue]>)
  case dictionary(Reference<[(key: PickleValue, value: PickleValue)]>)
  /// A name that the pickle would import. It is only remembered, never looked up.
  case global(module: String, name: String)
  case storage(Storage)
  case tensor(StoredView)
  /// Something else that was built by a call; its contents are of no interest.
  case opaque(String)

  /// Lists and dictionaries are filled after the pickle has referred to them.
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
  }

  var ints: [Int]? {
    guard case .tuple(let items) = self else { return nil }
    let ints = items.compactMap { if case .int(let value) = $0 { value } else { nil as Int? } }
    return ints.count == items.count ? ints : nil
  }
}
