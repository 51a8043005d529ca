import Files
import FoundationEssentials
import Tensors
import TestSupport
import Testing
import TorchPickles

/// Proves that files of `torch.save` are read as torch would read them.
@Suite struct TorchPickleTests {
  @Test(
    "the files that torch wrote hold the expected factors",
    arguments: DialectGolden.all.filter { $0.container == "torch-pickle" })
  func goldens(golden: DialectGolden) throws {
    let isFolder = !golden.file.contains(".")
    let path = isFolder ? golden.path + "/adapter_model.bin" : golden.path
    let beginning = Array(try Data(contentsOf: URL(filePath: path)).prefix(16))
    #expect(TorchPickle.recognises(beginning))
    let pickle = try TorchPickle(MappedFile(path: path))
    var found: [String: Tensor] = [:]
    switch pickle.contents {
    case .list(let tensors):
      for (i, tensor) in tensors.enumerated() { found["\(i / 2)" + (i % 2 == 0 ? ".up" : ".down")] = tensor.tensor }
    case .dictionary(let items): for item in items { found[item.name] = item.view.tensor }
    }
    #expect(!golden.targets.isEmpty)
    for (name, target) in golden.targets {
      func factor(_ suffixes: [String]) throws -> Tensor {
        try #require(suffixes.lazy.compactMap { found[name + $0] }.first)
      }
      let up = try factor([".up", ".lora_up.weight", ".lora_B.weight"])
      let down = try factor([".down", ".lora_down.weight", ".lora_A.weight"])
      let product = Dense.product(
        up.doubles(), down.doubles(), rows: up.shape[0], inner: target.rank, columns: down.shape.flattened.columns)
      #expect(relativeDifference(product.map { $0 * target.scale }, target.delta) <= 1e-12, "\(name)")
      if let alpha = found[name + ".alpha"]?.scalar { #expect(alpha / Double(target.rank) == target.scale) }
    }
  }

  private func only(_ program: [UInt8], storages: [String: [UInt8]]) throws -> Tensor {
    let folder = try TemporaryFolder()
    let zip = StoredZip.torch(Pickle.start + Pickle.dictionary([("x", program)]) + Pickle.stop, storages: storages)
    guard case .dictionary(let items) = try zip.read(in: folder).contents else {
      throw TorchPickleError(.noTensors, path: "")
    }
    #expect(items.map(\.name) == ["x"])
    return items[0].view.tensor
  }

  @Test("a transposed, a strided, an offset and an expanded view are gathered in C order")
  func views() throws {
    let storage = floats([0, 1, 2, 3, 4, 5, 6, 7])
    func values(_ shape: [Int], _ strides: [Int], _ offset: Int) throws -> [Double] {
      let view = Pickle.tensor(elements: 8, offset: offset, shape: shape, strides: strides)
      let tensor = try only(view, storages: ["0": storage])
      #expect(tensor.shape == Shape(shape) && tensor.dtype == .f32)
      return tensor.doubles()
    }
    #expect(try values([2, 4], [4, 1], 0) == [0, 1, 2, 3, 4, 5, 6, 7])
    #expect(try values([4, 2], [1, 4], 0) == [0, 4, 1, 5, 2, 6, 3, 7])
    #expect(try values([2, 2], [4, 2], 1) == [1, 3, 5, 7])
    #expect(try values([3], [1], 5) == [5, 6, 7])
    #expect(try values([2, 3], [1, 0], 6) == [6, 6, 6, 7, 7, 7])
    #expect(try values([1, 2], [100, 1], 0) == [0, 1])
    #expect(try values([], [], 7) == [7])
    #expect(try values([0, 5], [5, 1], 0) == [])
    #expect(try values([2, 2, 2], [1, 2, 4], 0) == [0, 4, 2, 6, 1, 5, 3, 7])
  }

  @Test(
    "every storage type is read as its number format",
    arguments: [
      ("FloatStorage", DType.f32), ("HalfStorage", .f16), ("BFloat16Storage", .bf16), ("DoubleStorage", .f64),
      ("IntStorage", .i32), ("LongStorage", .i64), ("ShortStorage", .i16), ("CharStorage", .i8), ("ByteStorage", .u8),
      ("BoolStorage", .bool),
    ] as [(String, DType)])
  func storageTypes(type: String, dtype: DType) throws {
    let stored = Tensor([1, 0, 1], shape: [3], dtype: dtype)
    let tensor = try only(
      Pickle.tensor(storage: type, elements: 3, shape: [3], strides: [1]),
      storages: ["0": stored.bytes.withUnsafeBytes { Array($0) }])
    #expect(tensor.dtype == dtype && tensor.doubles() == [1, 0, 1])
  }

  @Test("two tensors may share a storage, and a parameter is its tensor")
  func sharing() throws {
    let folder = try TemporaryFolder()
    let first = Pickle.tensor(elements: 4, shape: [2], strides: [1])
    let second =
      Pickle.global("torch._utils", "_rebuild_parameter")
      + Pickle.tuple(Pickle.tensor(elements: 4, offset: 2, shape: [2], strides: [1]), [0x88], Pickle.emptyDictionary)
      + Pickle.reduce
    let program = Pickle.start + Pickle.dictionary([("b", first), ("a", second)]) + Pickle.stop
    let pickle = try StoredZip.torch(program, storages: ["0": floats([1, 2, 3, 4])]).read(in: folder)
    guard case .dictionary(let items) = pickle.contents else { return #expect(Bool(false), "a dictionary") }
    #expect(items.map(\.name) == ["b", "a"])
    #expect(items.map { $0.view.tensor.doubles() } == [[1, 2], [3, 4]])
  }

  @Test("a wrapper is opened and other values are left out, by name", arguments: ["state_dict", "model", "params_ema"])
  func wrapper(name: String) throws {
    let folder = try TemporaryFolder()
    let tensor = Pickle.tensor(elements: 1, shape: [1], strides: [1])
    let callback = Pickle.global("pytorch_lightning.callbacks", "ModelCheckpoint") + Array(")R".utf8)
    let inner = Pickle.dictionary([("x", tensor), ("step", Pickle.int(7)), ("callbacks", callback)])
    let program = Pickle.start + Pickle.dictionary([("epoch", Pickle.int(3)), (name, inner)]) + Pickle.stop
    let pickle = try StoredZip.torch(program, storages: ["0": floats([5])]).read(in: folder)
    guard case .dictionary(let items) = pickle.contents else { return #expect(Bool(false), "a dictionary") }
    #expect(items.map(\.name) == ["x"] && pickle.leftOut == ["step", "callbacks", "epoch"])
    #expect(pickle.warning == "no part of the weights, left out: step, callbacks, epoch")
  }

  @Test("a list of tensors keeps its order")
  func list() throws {
    let folder = try TemporaryFolder()
    let views = (0..<3).map { Pickle.tensor(elements: 3, offset: $0, shape: [1], strides: [1]) }
    let program = Pickle.start + Pickle.emptyList + Pickle.mark + views.flatMap { $0 } + Array("e.".utf8)
    let pickle = try StoredZip.torch(program, storages: ["0": floats([7, 8, 9])]).read(in: folder)
    guard case .list(let tensors) = pickle.contents else { return #expect(Bool(false), "a list") }
    #expect(tensors.map(\.tensor.scalar) == [7, 8, 9])
  }

  @Test("zip archives and old torch pickles are told by their beginnings")
  func recognition() {
    #expect(TorchPickle.recognises([0x50, 0x4b, 3, 4, 0]))
    #expect(TorchPickle.recognises([0x80, 2, 0x8a, 10, 0x6c]))
    #expect(
      !TorchPickle.recognises([0x80, 2, 0x7d]) && !TorchPickle.recognises([]) && !TorchPickle.recognises([0x50, 0x4b]))
    #expect(!TorchPickle.recognises([0x40, 0, 0, 0, 0, 0, 0, 0, 0x7b]))
  }
}
