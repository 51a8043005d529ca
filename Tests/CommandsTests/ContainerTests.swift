import Checkpoints
import Foundation
import Images
import Safetensors
import Tensors
import TestSupport
import Testing

/// The same model makes the same picture from every container, and hostile files end every command in one line.
@Suite struct ContainerTests {
  private let fixture: RenderFixture
  private var folder: TemporaryFolder { fixture.folder }

  init() throws { fixture = try RenderFixture() }

  /// A pickle of the tensors of a safetensors file, as torch lays it out.
  private func pickle(_ file: SafetensorsFile) throws -> [UInt8] {
    let types: [DType: String] = [
      .f32: "FloatStorage", .f16: "HalfStorage", .i64: "LongStorage", .bf16: "BFloat16Storage",
    ]
    var storages: [String: [UInt8]] = [:]
    let tensors = try file.entries.enumerated().map { index, entry -> (String, [UInt8]) in
      storages["\(index)"] = file.tensor(entry).bytes.withUnsafeBytes(Array.init)
      var strides = [1]
      for extent in entry.shape.extents.dropFirst().reversed() { strides.insert(strides[0] * extent, at: 0) }
      return (
        entry.name,
        Pickle.tensor(
          storage: try #require(types[entry.dtype]), key: "\(index)", elements: entry.shape.elementCount,
          shape: entry.shape.extents, strides: entry.shape.rank == 0 ? [] : strides)
      )
    }
    let program = Pickle.start + Pickle.dictionary([("state_dict", Pickle.dictionary(tensors))]) + Pickle.stop
    return StoredZip.torch(program, storages: storages).bytes
  }

  private func gguf(_ file: SafetensorsFile) throws -> [UInt8] {
    let formats: [DType: UInt32] = [.f32: 0, .f16: 1, .i64: 27, .bf16: 30]
    var raw = RawGGUF()
    raw.listings = try file.entries.map { entry in
      RawGGUF.Listing(
        entry.name, entry.shape.extents.reversed().map { UInt64($0) }, format: try #require(formats[entry.dtype]),
        bytes: file.tensor(entry).bytes.withUnsafeBytes(Array.init))
    }
    return raw.bytes
  }

  @Test("a pipeline of .bin files makes the picture of its safetensors") func binFolder() throws {
    let model = folder.file("model"), manager = FileManager.default
    try manager.copyItem(atPath: RenderFixture.sd1, toPath: model)
    for (old, new) in [
      ("unet/diffusion_pytorch_model", "unet/diffusion_pytorch_model"),
      ("text_encoder/model", "text_encoder/pytorch_model"),
      ("vae/diffusion_pytorch_model", "vae/diffusion_pytorch_model"),
    ] {
      let bytes = try pickle(SafetensorsFile(path: "\(model)/\(old).safetensors"))
      try manager.removeItem(atPath: "\(model)/\(old).safetensors")
      try folder.write(bytes, to: "model/\(new).bin")
    }
    let adapter = try fixture.adapter()
    for (path, name) in [(RenderFixture.sd1, "a.png"), (model, "b.png")] {
      let run = try fixture.render(["\(adapter)@0.8"], model: path, output: name)
      #expect(run.status == 0, "\(run.errors)")
    }
    #expect(try fixture.picture("a.png").image == fixture.picture("b.png").image)
    // Baked, it is a folder of safetensors that makes the same picture of single precision.
    let bake = try Tool.run(["bake", model, "\(adapter)@0.8", "-o", folder.file("baked"), "--dtype", "f32"])
    #expect(bake.status == 0, "\(bake.errors)")
    #expect(try fixture.render([], model: folder.file("baked"), output: "c.png").status == 0)
    #expect(try fixture.picture("c.png").image == fixture.picture("a.png").image)
  }

  @Test("one file as safetensors, as a pickle, as GGUF, and as blocks of 8 bits with what they stand for")
  func singleFiles() throws {
    let plain = folder.file("toybox.safetensors"), run = Toybox.run("stack")
    try SingleFile.write(of: Toybox.model, listing: "toybox/single-file.json", to: plain)
    let file = try SafetensorsFile(path: plain)
    let checkpoint = try folder.write(pickle(file), to: "toybox.ckpt"),
      gguf = try folder.write(gguf(file), to: "toybox.gguf")
    let expected = try run.render(run.stack, on: plain, in: folder)
    #expect(try run.render(run.stack, on: checkpoint, in: folder) == expected)
    #expect(try run.render(run.stack, on: gguf, in: folder) == expected)
    let adapter = run.stack[0].split(separator: "@")[0] + "@0"
    func bake(_ base: String, _ output: String, _ more: [String] = []) throws -> String {
      let bake = try Tool.run(["bake", base, String(adapter), "-o", folder.file(output), "--quiet"] + more)
      #expect(bake.status == 0, "\(bake.errors)")
      return folder.file(output)
    }
    let blocks = try bake(gguf, "blocks.gguf", ["--dtype", "q8_0"]), numbers = try bake(blocks, "numbers.safetensors")
    let eightBit = try run.render(run.stack, on: blocks, in: folder)
    #expect(try eightBit == run.render(run.stack, on: numbers, in: folder))
    #expect(eightBit != expected)
    #expect(try ImageComparison(eightBit, expected).structuralSimilarity > 0.95)
    let compare = try Tool.run(["compare", plain, checkpoint, "--probe", "--probe-size", "128x128", "--json"])
    #expect(compare.status == 0, "\(compare.errors)")
    let extract = try Tool.run(["extract", checkpoint, gguf, "-o", folder.file("x.safetensors"), "--rank", "1"])
    #expect(extract.status == 65 && extract.errors.contains("found no difference beyond rounding"), "\(extract.errors)")
  }

  @Test("a quick decoder in GGUF makes the picture of its safetensors") func tinyDecoder() throws {
    let plain = try fixture.tinyDecoder()
    let gguf = try folder.write(gguf(SafetensorsFile(path: plain)), to: "taesd.gguf")
    for (path, name) in [(plain, "a.png"), (gguf, "b.png")] {
      #expect(try fixture.render(["--vae", path], output: name).status == 0)
    }
    #expect(try fixture.picture("a.png").image == fixture.picture("b.png").image)
  }

  @Test(
    "a base that is not what it seems ends in one line and code 65",
    arguments: ["cut.ckpt", "cut.gguf", "iq3.gguf", "counts.gguf", "magic.gguf", "magic.ckpt", "evil.ckpt", "text.bin"])
  func hostile(name: String) throws {
    func golden(_ name: String) throws -> [UInt8] { try Array(Goldens.data("checkpoints/\(name)")) }
    var quantised = RawGGUF(), counts = RawGGUF()
    quantised.listings = [.init("a", [256], format: 18, bytes: .init(repeating: 0, count: 98))]
    counts.tensorCount = 1 << 60
    let evil = Pickle.start + Pickle.global("os", "system") + Pickle.tuple(Pickle.string("echo")) + Pickle.reduce
    let bytes: [String: [UInt8]] = [
      "cut.ckpt": Array(try golden("zip.ckpt").prefix(20_000)),
      "cut.gguf": Array(try golden("mixed.gguf").prefix(9000)),
      "iq3.gguf": quantised.bytes, "counts.gguf": counts.bytes, "magic.gguf": Array("GGUF".utf8),
      "magic.ckpt": [0x50, 0x4b, 3, 4] + .init(repeating: 0, count: 60),
      "evil.ckpt": StoredZip.torch(evil + Pickle.stop).bytes, "text.bin": Array("a text of no use to anybody".utf8),
    ]
    let path = try folder.write(try #require(bytes[name]), to: name), adapter = try fixture.adapter()
    for arguments in [
      ["check", adapter, path], ["bake", path, adapter, "-o", folder.file("out.safetensors")],
      ["render", path, "--prompt", "a cat", "-o", fixture.out],
      ["extract", path, path, "-o", folder.file("out.safetensors"), "--rank", "4"],
    ] {
      let run = try Tool.run(arguments)
      #expect(run.status == 65, "\(arguments[0]): \(run.errors)")
      let lines = run.errors.split(separator: "\n")
      #expect(lines.count == 1 && lines[0].hasPrefix("lathe: error: \(path): "), "\(arguments[0]): \(run.errors)")
    }
    #expect(try !folder.names.contains { $0.hasPrefix("out") || $0.hasSuffix(".partial") })
  }
}
