/// Runs the small part of the pickle language that torch files use, and nothing else.
///
/// A pickle is a program. This machine builds tensors, lists and dictionaries; every other call yields an opaque value
/// that is never executed, and names that could run a program make the whole file refused.
struct PickleMachine {
  /// What a program has made.
  struct Outcome {
    let value: PickleValue
    /// The bytes of the program.
    let count: Int
    /// The classes of the storages that it spoke of, by key.
    let storageTypes: [String: String]
  }

  private let program: UnsafeRawBufferPointer
  private let path: String
  private let heap: PickleHeap
  /// Where the program begins in its file, for messages.
  private let start: Int
  private var position = 0
  private var stack: [Slot] = []
  private var memo: [Int: PickleValue] = [:]
  private var storageTypes: [String: String] = [:]
  private var pushCount = 0

  /// A checkpoint has some ten values and containers for each of its tensors. A program of few bytes can ask for many
  /// more, and each takes memory.
  private static let valueLimit = 1 << 20
  private static let containerLimit = 1 << 18

  private enum Slot {
    case mark
    case value(PickleValue)
  }

  /// - Parameters:
  ///   - program: begins with the pickle; what follows it is not looked at.
  ///   - heap: owns the containers of the result.
  ///   - start: where the program begins in its file, for messages.
  static func run(
    _ program: UnsafeRawBufferPointer, path: String, heap: PickleHeap, startingAt start: Int = 0
  ) throws(TorchPickleError) -> Outcome {
    var machine = PickleMachine(program: program, path: path, heap: heap, start: start)
    let value = try machine.run()
    return Outcome(value: value, count: machine.position, storageTypes: machine.storageTypes)
  }

  private init(program: UnsafeRawBufferPointer, path: String, heap: PickleHeap, start: Int) {
    self.program = program
    self.path = path
    self.heap = heap
    self.start = start
  }

  private mutating func run() throws(TorchPickleError) -> PickleValue {
    // Operands are popped in statements of their own: a method that does not change `self` would otherwise see, and
    // copy, the stack of before the pop.
    while true {
      let opcode = try byte()
      guard pushCount <= Self.valueLimit, heap.count <= Self.containerLimit else { throw fault("too many values") }
      switch opcode {
      case 0x80: _ = try byte()  // PROTO
      case 0x95: _ = try integer(8)  // FRAME
      case UInt8(ascii: "."): return try pop()
      case UInt8(ascii: "("):
        stack.append(.mark)
        pushCount += 1
      case UInt8(ascii: "0"): if stack.popLast() == nil { throw fault("the stack is empty") }
      case UInt8(ascii: "1"): _ = try popToMark()
      case UInt8(ascii: "N"): push(.none)
      case 0x88: push(.bool(true))
      case 0x89: push(.bool(false))
      case UInt8(ascii: "J"): push(.int(Int(Int32(truncatingIfNeeded: try integer(4)))))
      case UInt8(ascii: "K"): push(.int(try integer(1)))
      case UInt8(ascii: "M"): push(.int(try integer(2)))
      case 0x8a: push(.int(try long()))
      case UInt8(ascii: "G"): push(.float(Double(bitPattern: UInt64(bitPattern: Int64(try integer(8))).byteSwapped)))
      case UInt8(ascii: "X"): push(.string(try text(try integer(4))))
      case 0x8c: push(.string(try text(try integer(1))))
      case UInt8(ascii: "T"): push(.string(try text(try integer(4))))
      case UInt8(ascii: "U"): push(.string(try text(try integer(1))))
      case UInt8(ascii: "B"): push(.bytes(Array(try take(try integer(4)))))
      case UInt8(ascii: "C"): push(.bytes(Array(try take(try integer(1)))))
      case UInt8(ascii: "]"): push(heap.list())
      case UInt8(ascii: "}"): push(heap.dictionary())
      case 0x8f: push(.opaque("a set"))
      case UInt8(ascii: ")"): push(heap.tuple([]))
      case UInt8(ascii: "t"): push(heap.tuple(try popToMark()))
      case 0x85: push(heap.tuple(try pop(1)))
      case 0x86: push(heap.tuple(try pop(2)))
      case 0x87: push(heap.tuple(try pop(3)))
      case UInt8(ascii: "a"):
        let items = try pop(1)
        try append(items)
      case UInt8(ascii: "e"):
        let items = try popToMark()
        try append(items)
      case UInt8(ascii: "d"):
        let items = try popToMark()
        push(heap.dictionary())
        try setItems(items)
      case UInt8(ascii: "s"):
        let items = try pop(2)
        try setItems(items)
      case UInt8(ascii: "u"):
        let items = try popToMark()
        try setItems(items)
      case UInt8(ascii: "q"): memo[try integer(1)] = try top()
      case UInt8(ascii: "r"): memo[try integer(4)] = try top()
      case 0x94: memo[memo.count] = try top()
      case UInt8(ascii: "h"):
        let index = try integer(1)
        push(try remembered(index))
      case UInt8(ascii: "j"):
        let index = try integer(4)
        push(try remembered(index))
      case UInt8(ascii: "c"):
        let module = try line(), name = try line()
        push(try global(module: module, name: name))
      case 0x93:
        guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
          throw fault("expected a name")
        }
        push(try global(module: module, name: name))
      case UInt8(ascii: "R"), 0x81:
        let arguments = try pop(), function = try pop()
        push(try call(function, arguments))
      case UInt8(ascii: "b"):
        let state = try pop()
        try build(state)
      case UInt8(ascii: "Q"):
        let identity = try pop()
        push(try storage(identity))
      default: throw fault("expected a known instruction, found \(opcode)")
      }
    }
  }

  // MARK: Calls

  /// Names whose mere presence shows that the file was made to run something.
  private static let dangerousModules: Set<String> = [
    "os", "posix", "nt", "subprocess", "sys", "socket", "shutil", "runpy", "importlib", "pty", "ctypes", "webbrowser",
    "code", "timeit", "multiprocessing", "asyncio", "pickle", "_pickle", "operator",
  ]
  private static let harmlessBuiltins: Set<String> = [
    "set", "frozenset", "list", "dict", "tuple", "int", "float", "bool", "str", "bytes", "complex", "slice", "object",
  ]

  private func global(module: String, name: String) throws(TorchPickleError) -> PickleValue {
    let root = String(module.prefix { $0 != "." })
    let isBuiltin = root == "builtins" || root == "__builtin__"
    if Self.dangerousModules.contains(root) || (isBuiltin && !Self.harmlessBuiltins.contains(name)) {
      throw TorchPickleError(.dangerous(name: "\(module).\(name)"), path: path)
    }
    return .global(module: module, name: name)
  }

  private mutating func call(_ function: PickleValue, _ arguments: PickleValue) throws(TorchPickleError) -> PickleValue
  {
    guard case .global(let module, let name) = function, case .tuple(let tuple) = arguments else {
      return .opaque("an object")
    }
    let items = tuple.value
    switch (module, name) {
    case ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"):
      guard items.count >= 4, case .storage(let storage) = items[0], case .int(let offset) = items[1],
        let extents = items[2].ints, let strides = items[3].ints
      else { throw fault("expected a storage, an offset, a size and strides for a tensor") }
      if items.count > 6, items[6].saysTrue { return .opaque("a tensor with a sign or conjugation still to come") }
      return .tensor(
        .init(storage: storage, offset: offset, extents: extents, strides: strides, elementType: storage.type))
    case ("torch._utils", "_rebuild_tensor_v3"):
      guard items.count >= 7, case .storage(let storage) = items[0], case .int(let offset) = items[1],
        let extents = items[2].ints, let strides = items[3].ints, case .global("torch", let type) = items[6]
      else { throw fault("expected a storage, an offset, a size, strides and a number format for a tensor") }
      if items.count > 7, items[7].saysTrue { return .opaque("a tensor with a sign or conjugation still to come") }
      return .tensor(.init(storage: storage, offset: offset, extents: extents, strides: strides, elementType: type))
    case ("torch._tensor", "_rebuild_from_type_v2"):
      guard items.count >= 3, case .global("torch._utils", _) = items[0], case .global(let module, let name) = items[1]
      else { return .opaque("an object") }
      // What another class makes of the numbers in it is not known.
      guard Self.tensorClasses.contains("\(module).\(name)") else { return .opaque("a tensor of \(module).\(name)") }
      return try call(items[0], items[2])
    case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"),
      ("torch.nn.parameter", "Parameter"):
      guard let data = items.first else { throw fault("expected a tensor for a parameter") }
      return data
    case ("collections", "OrderedDict"): return orderedDictionary(items)
    case ("builtins", "set"), ("builtins", "frozenset"), ("__builtin__", "set"), ("__builtin__", "frozenset"):
      return items.first ?? heap.tuple([])
    case ("torch", "Size"): return items.first ?? heap.tuple([])
    case ("_codecs", "encode"):
      // How bytes are written in protocol 2.
      guard items.count == 2, case .string(let text) = items[0], case .string("latin1") = items[1],
        text.unicodeScalars.allSatisfy({ $0.value < 256 })
      else { return .opaque("bytes in an encoding") }
      return .bytes(text.unicodeScalars.map { UInt8($0.value) })
    case ("numpy", "dtype"):
      guard case .string(let format)? = items.first else { return .opaque("a number format") }
      return .numberFormat(format)
    case ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"):
      guard items.count == 2, case .numberFormat(let format) = items[0], case .bytes(let bytes) = items[1] else {
        return .opaque("a NumPy scalar")
      }
      return NumPyScalar.number(bytes, format: format).map { .float($0) } ?? .opaque("a NumPy scalar of \(format)")
    default: return .opaque(Self.words(module, name))
    }
  }

  /// Classes whose tensors are nothing but their numbers.
  private static let tensorClasses: Set<String> = [
    "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
  ]

  private static func words(_ module: String, _ name: String) -> String {
    switch (module, name) {
    case ("torch._utils", let name) where name.hasPrefix("_rebuild_sparse"): "a sparse tensor"
    case ("torch._utils", "_rebuild_qtensor"): "a quantised tensor"
    case ("torch._utils", "_rebuild_nested_tensor"): "a nested tensor"
    case (let module, "_reconstruct") where module.hasPrefix("numpy."): "a NumPy array"
    default: "an object made by \(module).\(name)"
    }
  }

  /// Python 2 gives an ordered dictionary its items as a list of pairs.
  private func orderedDictionary(_ items: [PickleValue]) -> PickleValue {
    guard let first = items.first else { return heap.dictionary() }
    guard items.count == 1, case .list(let list) = first, case let dictionary = heap.dictionary(),
      case .dictionary(let pairs) = dictionary
    else { return .opaque("a dictionary made of something else") }
    for item in list.value {
      switch item {
      case .list(let pair) where pair.value.count == 2, .tuple(let pair) where pair.value.count == 2:
        pairs.value.append((pair.value[0], pair.value[1]))
      default: return .opaque("a dictionary made of something else")
      }
    }
    return dictionary
  }

  /// Gives an object its state, which matters for number formats only: it tells the order of their bytes.
  private mutating func build(_ state: PickleValue) throws(TorchPickleError) {
    guard case .numberFormat = try top(), case .tuple(let items) = state, items.value.count > 1,
      case .string(">") = items.value[1]
    else { return }
    _ = try pop()
    push(.opaque("a number format with the most significant byte first"))
  }

  private mutating func storage(_ identity: PickleValue) throws(TorchPickleError) -> PickleValue {
    guard case .tuple(let tuple) = identity, case let items = tuple.value, items.count >= 5,
      case .string("storage") = items[0], case .global(_, let type) = items[1], case .string(let key) = items[2],
      case .int(let count) = items[4], count >= 0
    else { throw fault("expected the name of a storage") }
    if items.count > 5, case .tuple = items[5] { throw fault("a part of a storage, as torch before 0.4 wrote it") }
    storageTypes[key] = type
    return .storage(.init(type: type, key: key, count: count))
  }

  // MARK: Stack

  private mutating func push(_ value: PickleValue) {
    stack.append(.value(value))
    pushCount += 1
  }

  private mutating func pop() throws(TorchPickleError) -> PickleValue {
    guard case .value(let value)? = stack.popLast() else { throw fault("the stack is empty") }
    return value
  }

  private mutating func pop(_ count: Int) throws(TorchPickleError) -> [PickleValue] {
    var values: [PickleValue] = []
    for _ in 0..<count { values.append(try pop()) }
    return values.reversed()
  }

  private mutating func popToMark() throws(TorchPickleError) -> [PickleValue] {
    var values: [PickleValue] = []
    while let slot = stack.popLast() {
      guard case .value(let value) = slot else { return values.reversed() }
      values.append(value)
    }
    throw fault("expected a mark on the stack")
  }

  private func top() throws(TorchPickleError) -> PickleValue {
    guard case .value(let value)? = stack.last else { throw fault("the stack is empty") }
    return value
  }

  private func remembered(_ index: Int) throws(TorchPickleError) -> PickleValue {
    guard let value = memo[index] else { throw fault("nothing was remembered as number \(index)") }
    return value
  }

  // `mutating` although it changes only what the stack refers to: the stack must be looked at after the arguments,
  // which pop from it, have been evaluated.
  private mutating func append(_ values: [PickleValue]) throws(TorchPickleError) {
    switch try top() {
    case .list(let list): list.value.append(contentsOf: values)
    case .opaque: break
    default: throw fault("expected a list")
    }
  }

  private mutating func setItems(_ values: [PickleValue]) throws(TorchPickleError) {
    guard values.count % 2 == 0 else { throw fault("expected pairs of keys and values") }
    switch try top() {
    case .dictionary(let dictionary):
      for i in stride(from: 0, to: values.count, by: 2) { dictionary.value.append((values[i], values[i + 1])) }
    case .opaque: break
    default: throw fault("expected a dictionary")
    }
  }

  // MARK: Bytes

  private mutating func take(_ count: Int) throws(TorchPickleError) -> Slice<UnsafeRawBufferPointer> {
    guard count >= 0, count <= program.count - position else { throw fault("the program ends too early") }
    defer { position += count }
    return program[position..<position + count]
  }

  private mutating func byte() throws(TorchPickleError) -> UInt8 { try take(1).first! }

  private mutating func integer(_ count: Int) throws(TorchPickleError) -> Int {
    Int(truncatingIfNeeded: try take(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  /// A little-endian two's complement number of any length up to eight bytes; longer ones saturate.
  private mutating func long() throws(TorchPickleError) -> Int {
    let bytes = try take(try integer(1))
    guard let last = bytes.last else { return 0 }
    guard bytes.count <= 8 else { return last & 0x80 == 0 ? .max : .min }
    let start: UInt64 = last & 0x80 == 0 ? 0 : .max
    return Int(truncatingIfNeeded: bytes.reversed().reduce(start) { $0 << 8 | UInt64($1) })
  }

  private mutating func text(_ count: Int) throws(TorchPickleError) -> String {
    guard let text = String(validating: try take(count), as: UTF8.self) else { throw fault("expected UTF-8 text") }
    return text
  }

  private mutating func line() throws(TorchPickleError) -> String {
    guard let end = program[position...].firstIndex(of: 0x0a) else { throw fault("the program ends too early") }
    let result = try text(end - position)
    position += 1
    return result
  }

  private func fault(_ reason: String) -> TorchPickleError {
    TorchPickleError(.pickle(reason: reason, offset: start + position), path: path)
  }
}
