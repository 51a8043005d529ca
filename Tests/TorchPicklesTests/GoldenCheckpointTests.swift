import Files
import Safetensors
import Tensors
import TestSupport
import Testing
import TorchPickles

/// Proves that checkpoints which torch wrote, in each of its forms, hold the bits that safetensors has of them.
@Suite struct GoldenCheckpointTests {
  private func views(_ name: String) throws -> [(name: String, view: TorchView)] {
    let pickle = try TorchPickle(MappedFile(path: Goldens.path("checkpoints/\(name)")))
    guard case .dictionary(let items) = pickle.contents else {
      Issue.record("\(name): expected a dictionary")
      return []
    }
    return items
  }

  private func expectEqual(_ items: [(name: String, view: TorchView)], _ reference: String) throws {
    let file = try SafetensorsFile(path: Goldens.path("checkpoints/\(reference)"))
    #expect(Set(items.map(\.name)) == Set(file.entries.map(\.name)) && items.count == file.entries.count)
    for (name, view) in items {
      let expected = try #require(file[name]), tensor = view.tensor
      #expect(tensor.dtype == expected.dtype && tensor.shape == expected.shape, "\(name)")
      #expect(
        tensor.bytes.withUnsafeBytes(Array.init) == expected.bytes.withUnsafeBytes(Array.init), "\(name)")
    }
  }

  @Test(
    "the zip form, the form before it, a compressed archive and bare weights are the same",
    arguments: ["zip.ckpt", "legacy.ckpt", "deflated.ckpt", "bare.pth"])
  func forms(name: String) throws { try expectEqual(try views(name), "model.safetensors") }

  @Test("weights of eight bits, which torch stores without a class") func eightBits() throws {
    try expectEqual(try views("eight-bit.pt"), "eight-bit.safetensors")
  }

  @Test("what is not compressed stays where it is in the file", arguments: ["zip.ckpt", "legacy.ckpt"])
  func inPlace(name: String) throws {
    let bytes = try MappedFile(path: Goldens.path("checkpoints/\(name)")).bytes
    let views = try views(name)
    #expect(views.contains { !$0.view.isContiguous })
    for (name, view) in views where view.isContiguous {
      let place = try #require(view.place, "\(name)")
      #expect(bytes[place].withUnsafeBytes(Array.init) == view.tensor.bytes.withUnsafeBytes(Array.init), "\(name)")
    }
  }

  @Test("what is compressed has no place") func unpacked() throws {
    #expect(try views("deflated.ckpt").allSatisfy { $0.view.place == nil })
  }

  @Test("a truncated file is refused wherever it ends", arguments: ["zip.ckpt", "legacy.ckpt"])
  func truncated(name: String) throws {
    let bytes = try MappedFile(path: Goldens.path("checkpoints/\(name)")).bytes.withUnsafeBytes(Array.init)
    let folder = try TemporaryFolder()
    for count in stride(from: 16, to: bytes.count, by: 211) {
      let path = try folder.write(Array(bytes.prefix(count)), to: "cut")
      let error = #expect(throws: TorchPickleError.self, "\(count) bytes") { try TorchPickle(MappedFile(path: path)) }
      #expect(error?.description.contains("\n") == false)
    }
  }

  @Test("damage to a file of the old form is read or refused, without a crash", arguments: 0..<4 as Range<UInt64>)
  func damaged(seed: UInt64) throws {
    let bytes = try MappedFile(path: Goldens.path("checkpoints/legacy.ckpt")).bytes.withUnsafeBytes(Array.init)
    let folder = try TemporaryFolder()
    var generator = SplitMix64(seed: seed), refused = 0
    for _ in 0..<300 {
      var mutant = bytes
      for _ in 0...generator.below(3) { mutant[15 + generator.below(3600)] = UInt8(generator.below(256)) }
      let path = try folder.write(mutant, to: "damaged")
      do {
        guard case .dictionary(let items) = try TorchPickle(MappedFile(path: path)).contents else { continue }
        for item in items { _ = item.view.tensor.bytes.count }
      } catch let error as TorchPickleError {
        refused += 1
        #expect(!error.description.contains("\n"), "seed \(seed)")
      }
    }
    #expect(refused > 100, "seed \(seed)")
  }
}
