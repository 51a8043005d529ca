import Files
import TestSupport
import Testing
import TorchPickles

/// Proves that programs which could run something, damaged files and views outside their storage are refused with the
/// reason, and that no file brings the reader down.
@Suite struct RefusalTests {
  private let tensor = Pickle.tensor(elements: 4, shape: [2, 2], strides: [2, 1])
  private let storage = ["0": floats([1, 2, 3, 4])]

  private func refusal(of program: [UInt8], storages: [String: [UInt8]]? = nil) throws -> String {
    try StoredZip.torch(program, storages: storages ?? storage).refusal(in: TemporaryFolder())
  }

  @Test(
    "a name that could run a program is refused, even where it is never called",
    arguments: [
      ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("os.path", "join"),
      ("sys", "exit"),
      ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "__import__"),
      ("__builtin__", "eval"),
      ("builtins", "open"), ("runpy", "run_path"), ("importlib", "import_module"), ("shutil", "rmtree"),
      ("socket", "socket"),
      ("operator", "attrgetter"), ("pickle", "loads"), ("ctypes", "CDLL"),
    ])
  func dangerous(module: String, name: String) throws {
    let message = "pickle: calls \(module).\(name), which could run a program; the file is refused"
    let call = Pickle.global(module, name) + Pickle.tuple(Pickle.string("echo")) + Pickle.reduce
    #expect(try refusal(of: Pickle.start + call + Pickle.stop) == message)
    #expect(try refusal(of: Pickle.start + Pickle.dictionary([("x", tensor), ("y", call)]) + Pickle.stop) == message)
    let stacked = Pickle.string(module) + Pickle.string(name) + [0x93]
    #expect(try refusal(of: Pickle.start + stacked + Pickle.stop) == message)
  }

  @Test("harmless names are only remembered")
  func harmless() throws {
    let call = Pickle.global("builtins", "set") + Pickle.tuple(Pickle.emptyList) + Pickle.reduce
    let unknown =
      Pickle.global("trainer.callbacks", "Logger") + Pickle.tuple() + [0x81] + Pickle.emptyDictionary + Array("b".utf8)
    let found = "an object made by trainer.callbacks.Logger"
    #expect(
      try refusal(
        of: Pickle.start + Pickle.dictionary([("x", tensor), ("y", call), ("callbacks", unknown)]) + Pickle.stop)
        == "accepted")
    #expect(
      try refusal(of: Pickle.start + Pickle.dictionary([("x", tensor), ("z", unknown)]) + Pickle.stop)
        == "z: expected a dense tensor, found \(found); hint: save it again from Python as dense tensors in one dictionary"
    )
    #expect(
      try refusal(of: Pickle.start + unknown + Pickle.stop)
        == "pickle: expected a dictionary or list of tensors, found \(found)")
  }

  @Test(
    "a faulty program is refused with the place",
    arguments: [
      (Array("}".utf8), "the program ends too early at byte 3"), ([], "the program ends too early at byte 2"),
      (Array("X".utf8) + [9, 0, 0, 0, 0x61], "the program ends too early at byte 7"),
      (Array("cos".utf8), "the program ends too early at byte 3"), (Array(".".utf8), "the stack is empty at byte 3"),
      (Array("0.".utf8), "the stack is empty at byte 3"), (Array("(.".utf8), "the stack is empty at byte 4"),
      (Array("t.".utf8), "expected a mark on the stack at byte 3"),
      (Array("K\u{1}q\u{0}h\u{5}.".utf8), "nothing was remembered as number 5 at byte 8"),
      (Array("NNa.".utf8), "expected a list at byte 5"),
      (Array("NNNs.".utf8), "expected a dictionary at byte 6"),
      (Array("}(Nu.".utf8), "expected pairs of keys and values at byte 6"),
      (Array("i".utf8), "expected a known instruction, found 105 at byte 3"),
      (Array("Pabc\n".utf8), "expected a known instruction, found 80 at byte 3"),
      ([0x82, 1], "expected a known instruction, found 130 at byte 3"),
      (Array("NQ.".utf8), "expected the name of a storage at byte 4"),
      ([0x8c, 1, 0xff], "expected UTF-8 text at byte 5"), (Array("NN".utf8) + [0x93], "expected a name at byte 5"),
    ] as [([UInt8], String)])
  func faulty(program: [UInt8], reason: String) throws {
    #expect(try refusal(of: Pickle.start + program) == "pickle: \(reason)")
  }

  @Test("a view outside its storage is refused")
  func views() throws {
    func refusal(elements: Int = 4, offset: Int = 0, _ shape: [Int], _ strides: [Int], type: String = "FloatStorage")
      throws -> String
    {
      let view = Pickle.tensor(storage: type, elements: elements, offset: offset, shape: shape, strides: strides)
      return try self.refusal(of: Pickle.start + Pickle.dictionary([("x", view)]) + Pickle.stop)
    }
    let outside = "archive: 0: expected a view inside the storage"
    let strides = "archive: 0: expected strides inside the storage"
    #expect(try refusal([5], [1]) == outside)
    #expect(try refusal(offset: 4, [1], [1]) == outside)
    #expect(try refusal(offset: -1, [1], [1]) == strides)
    #expect(try refusal(offset: -1, [], []) == outside)
    #expect(try refusal([2, 2], [3, 1]) == outside)
    #expect(try refusal([2], [-1]) == strides)
    #expect(try refusal([2], [.max]) == strides)
    #expect(try refusal([2], [.max - 1]) == outside)
    #expect(try refusal([3], [.max]) == strides)
    #expect(try refusal([2, 2], [.max, .max]) == strides)
    #expect(try refusal([-1], [1]) == "archive: 0: expected one stride for each extent")
    #expect(try refusal([2], [1, 1]) == "archive: 0: expected one stride for each extent")
    #expect(try refusal([.max, 2], [0, 0]) == "archive: 0: expected one stride for each extent")
    #expect(try refusal(elements: 5, [5], [1]) == "archive: 0: expected 5 elements, found 4")
    #expect(try refusal(elements: .max, [5], [1]) == "archive: 0: expected 9223372036854775807 elements, found 4")
    #expect(
      try refusal([1], [1], type: "ComplexFloatStorage")
        == "x: expected a dense tensor, found a tensor of ComplexFloatStorage; hint: save it again from Python as dense tensors in one dictionary"
    )
  }

  @Test(
    "a view that repeats a few elements without end is refused",
    arguments: [[1 << 31, 1 << 30], [1 << 40], [1 << 61]] as [[Int]])
  func expansion(shape: [Int]) throws {
    let view = Pickle.tensor(elements: 4, shape: shape, strides: shape.map { _ in 0 })
    let found = try refusal(of: Pickle.start + Pickle.dictionary([("x", view)]) + Pickle.stop)
    #expect(found == "archive: 0: expected a view of at most 1048576 elements, found \(shape.reduce(1, *))")
  }

  @Test("a missing storage and a missing program are named")
  func missing() throws {
    let folder = try TemporaryFolder()
    let program = Pickle.start + Pickle.dictionary([("x", tensor)]) + Pickle.stop
    #expect(try StoredZip.torch(program).refusal(in: folder) == "archive: expected an entry archive/data/0, found none")
    let other = StoredZip(entries: [.init(name: "archive/other", contents: [1])])
    #expect(try other.refusal(in: folder) == "archive: expected an entry data.pkl, found none")
  }

  @Test("an entry that claims to unpack to more than it can hold is refused before memory is taken")
  func bomb() throws {
    let folder = try TemporaryFolder()
    let program = Pickle.start + Pickle.dictionary([("x", tensor)]) + Pickle.stop
    var zip = StoredZip.torch(program, storages: storage)
    zip.entries[1].method = 8
    zip.entries[1].declaredSize = .max - 1
    #expect(try zip.refusal(in: folder) == "archive: archive/data/0: 4294967294 bytes are too many")
    var large = StoredZip.torch(program, storages: storage)
    large.entries[0].method = 8
    large.entries[0].declaredSize = 32 << 20 + 1
    #expect(try large.refusal(in: folder) == "archive: archive/data.pkl: 33554433 bytes are too many")
  }

  @Test("a program that is not what its checksum says is refused")
  func checksum() throws {
    var zip = StoredZip.torch(Pickle.start + Pickle.dictionary([("x", tensor)]) + Pickle.stop, storages: storage)
    let count = zip.entries[0].contents.count
    zip.entries[0].declaredChecksum = 1
    #expect(
      try zip.refusal(in: TemporaryFolder())
        == "archive: archive/data.pkl: expected \(count) bytes of the entry's checksum, found others")
  }

  @Test("big-endian storages are refused")
  func byteOrder() throws {
    let program = Pickle.start + Pickle.dictionary([("x", tensor)]) + Pickle.stop
    func refusal(_ order: String) throws -> String {
      let entry = StoredZip.Entry(name: "archive/byteorder", contents: Array(order.utf8))
      return try StoredZip.torch(program, storages: storage, more: [entry]).refusal(in: TemporaryFolder())
    }
    #expect(try refusal("little") == "accepted")
    #expect(try refusal("big") == "archive: byteorder: expected little, found big")
  }

  @Test("a file that is no archive, or only begins like one of the time before archives, is refused")
  func otherFormats() throws {
    let folder = try TemporaryFolder()
    func message(_ bytes: [UInt8]) throws -> String? {
      let path = try folder.write(bytes, to: "a.pt")
      let error = #expect(throws: TorchPickleError.self) { try TorchPickle(MappedFile(path: path)) }
      return error.map { String(String(describing: $0).dropFirst(path.count + 2)) }
    }
    #expect(
      try message([0x50, 0x4b, 3, 4] + .init(repeating: 0, count: 60))
        == "expected a torch zip archive: Not a zip archive; hint: if the download stopped early, fetch it again")
    let beginning: [UInt8] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
    #expect(
      try message(beginning + [0x2f])
        == "the format of torch before 1.6: expected torch's number at the beginning")
    #expect(try message(beginning + [0x2e]) == "pickle: the program ends too early at byte 15")
    #expect(
      try message(beginning + [0x2e] + Pickle.start + Pickle.int(1002) + Pickle.stop)
        == "the format of torch before 1.6: expected version 1001")
  }

  @Test("a dictionary that contains itself is no trouble")
  func selfReference() throws {
    // d = {}; d["x"] = tensor; d["state_dict"] = d
    let program =
      Pickle.start + Pickle.emptyDictionary + Array("q\0".utf8) + Pickle.mark + Pickle.string("x") + tensor
      + Pickle.string("state_dict") + Array("h\0".utf8) + Array("u.".utf8)
    #expect(
      try refusal(of: program)
        == "state_dict and 1 more: expected a dense tensor, found a dictionary of tensors; hint: save it again from Python as dense tensors in one dictionary"
    )
  }

  @Test("values nested a quarter of a million deep are no trouble", arguments: ["tuple", "list", "dictionary"])
  func depth(kind: String) throws {
    let depth = 250_000
    var program = Pickle.start
    switch kind {
    case "tuple": program += Array("N".utf8) + [UInt8](repeating: 0x85, count: depth)
    case "list":
      program +=
        [UInt8](repeating: UInt8(ascii: "]"), count: depth) + [UInt8](repeating: UInt8(ascii: "a"), count: depth - 1)
    default:
      for _ in 0..<depth { program += Array("}N".utf8) }
      program += Array("N".utf8) + [UInt8](repeating: UInt8(ascii: "s"), count: depth)
    }
    let found = try refusal(of: program + Pickle.stop)
    let expected = [
      "tuple": "pickle: expected a dictionary or list of tensors, found a list",
      "list":
        "item 0: expected a dense tensor, found a list; hint: save it again from Python as dense tensors in one dictionary",
    ]
    #expect(found == expected[kind] ?? "pickle: expected a dictionary or list of tensors")
  }

  @Test("seeded mutations of the program are refused or read, without a crash", arguments: 0..<8 as Range<UInt64>)
  func mutations(seed: UInt64) throws {
    let folder = try TemporaryFolder()
    let program =
      Pickle.start + Pickle.dictionary([("a", tensor), ("epoch", Pickle.int(3)), ("b", tensor)]) + Pickle.stop
    var generator = SplitMix64(seed: seed)
    var accepted = 0
    for _ in 0..<500 {
      var mutant = program
      for _ in 0...generator.below(3) where !mutant.isEmpty {
        let place = generator.below(mutant.count)
        switch generator.below(5) {
        case 0: mutant[place] ^= 1 << generator.below(8)
        case 1: mutant[place] = UInt8(generator.below(256))
        case 2: mutant.remove(at: place)
        case 3: mutant.insert(contentsOf: mutant[place..<min(place + generator.below(30), mutant.count)], at: place)
        default: mutant.removeLast(generator.below(min(mutant.count, 20)))
        }
      }
      let found = try StoredZip.torch(mutant, storages: storage).refusal(in: folder)
      if found == "accepted" { accepted += 1 } else { #expect(!found.isEmpty && !found.contains("\n"), "seed \(seed)") }
    }
    #expect(accepted >= 5, "seed \(seed): the mutations are too rough")
  }
}
