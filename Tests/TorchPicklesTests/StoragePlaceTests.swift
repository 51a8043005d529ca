import Files
import Tensors
import TestSupport
import Testing
import TorchPickles

/// Proves where storages are looked for, and that neither programs nor archives can ask for more memory than a
/// checkpoint needs.
@Suite struct StoragePlaceTests {
  private let program =
    Pickle.start + Pickle.dictionary([("x", Pickle.tensor(elements: 4, shape: [2, 2], strides: [2, 1]))]) + Pickle.stop
  private let storage = ["0": floats([1, 2, 3, 4])]

  private func view(_ zip: StoredZip) throws -> TorchView {
    guard case .dictionary(let items) = try zip.read(in: TemporaryFolder()).contents else {
      throw TorchPickleError(.noTensors, path: "")
    }
    return items[0].view
  }

  @Test("an entry whose sizes stand in 64 bits is found in its place") func wide() throws {
    var zip = StoredZip.torch(program, storages: storage)
    zip.entries[1].isWide = true
    let view = try view(zip)
    #expect(view.tensor.doubles() == [1, 2, 3, 4] && view.place != nil)
  }

  @Test("an entry that occurs twice is left to the archive's library") func twice() throws {
    var zip = StoredZip.torch(program, storages: storage)
    zip.entries.append(.init(name: "archive/data/0", contents: floats([5, 6, 7, 8])))
    #expect(try view(zip).place == nil)
  }

  @Test("a comment that looks like the end of the directory does no harm") func comment() throws {
    let zip = StoredZip.torch(program, storages: storage)
    let folder = try TemporaryFolder()
    let comment = [UInt8](repeating: 0x50, count: 300)
    var bytes = zip.bytes
    bytes[bytes.count - 2] = UInt8(comment.count & 0xff)
    bytes[bytes.count - 1] = UInt8(comment.count >> 8)
    guard
      case .dictionary(let items) = try TorchPickle(
        MappedFile(path: folder.write(bytes + comment, to: "a.pt"))
      ).contents
    else { return #expect(Bool(false), "a dictionary") }
    #expect(items[0].view.tensor.doubles() == [1, 2, 3, 4])
  }

  @Test(
    "a program that makes millions of values is stopped",
    arguments: [Array("(".utf8), Array("K\u{1}0".utf8), Array("]0".utf8), Array("N".utf8)])
  func values(unit: [UInt8]) throws {
    let count = 5_000_000
    var program = Pickle.start
    program.reserveCapacity(unit.count * count + 2)
    for _ in 0..<count { program += unit }
    let found = try StoredZip.torch(program).refusal(in: TemporaryFolder())
    #expect(found.hasPrefix("pickle: too many values at byte "))
  }

  @Test("a part of a storage, as torch before 0.4 wrote it, is refused") func oldViews() throws {
    let storage =
      Pickle.tuple(
        Pickle.string("storage"), Pickle.global("torch", "FloatStorage"), Pickle.string("0"), Pickle.string("cpu"),
        Pickle.int(4), Pickle.tuple(Pickle.string("1"), Pickle.int(0), Pickle.int(2))) + Array("Q".utf8)
    let found = try StoredZip.torch(Pickle.start + storage + Pickle.stop).refusal(in: TemporaryFolder())
    #expect(found.hasPrefix("pickle: a part of a storage, as torch before 0.4 wrote it at byte "))
  }

  @Test("a copy that is made when it is asked for has the same elements") func lazy() throws {
    for strides in [[2, 1], [1, 2], [0, 1], [0, 0]] {
      let view = Pickle.tensor(elements: 4, shape: [2, 2], strides: strides)
      let zip = StoredZip.torch(Pickle.start + Pickle.dictionary([("x", view)]) + Pickle.stop, storages: storage)
      let found = try self.view(zip)
      #expect(found.lazyTensor.doubles() == found.tensor.doubles() && found.lazyTensor.shape == [2, 2])
    }
  }

  @Test("a name that is set twice has the later tensor") func repeatedName() throws {
    let first = Pickle.tensor(elements: 4, shape: [1], strides: [1])
    let second = Pickle.tensor(elements: 4, offset: 3, shape: [1], strides: [1])
    let program = Pickle.start + Pickle.dictionary([("x", first), ("y", first), ("x", second)]) + Pickle.stop
    let pickle = try StoredZip.torch(program, storages: storage).read(in: TemporaryFolder())
    guard case .dictionary(let items) = pickle.contents else { return #expect(Bool(false), "a dictionary") }
    #expect(items.map(\.name) == ["x", "y"] && items.map(\.view.tensor.scalar) == [4, 1])
  }
}
