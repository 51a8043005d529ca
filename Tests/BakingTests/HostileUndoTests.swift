import Factoring
import Files
import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that files that do not belong together, and undo files from strangers, are refused in one sentence: an unbake
/// gives the base's bytes or nothing.
@Suite struct HostileUndoTests {
  private let bench: Bench
  private let baseHash: String

  init() throws {
    bench = try Bench()
    try bench.base(
      [
        filler("a.weight", [6, 5], .bf16, seed: 1), ("b.weight", [4, 5], .f8e4m3, (0..<20).map(Double.init)),
        ("b.scale_weight", [4], .f32, [0.1, 0.2, 0.3, 0.4]), filler("c.weight", [3, 2], .f16, seed: 2),
      ], metadata: [("note", "of the base")])
    let adapter = try bench.adapter([
      Change("lora_unet_a", 6, 5, size: 0.1), Change("lora_unet_b", 4, 5, size: 9, seed: 3),
      Change("lora_unet_c", 3, 2, alpha: 1, seed: 3),
    ])
    try bench.bake([.init(path: adapter)], undo: "undo")
    baseHash = ContentHash.sha256(Bytes(copying: try bench.folder.bytes(of: "base.safetensors")))
  }

  private func refusal(_ baked: String = "out.safetensors", undo: String = "undo") throws -> String {
    let before = try bench.folder.names
    let text = bench.refusal { try bench.unbake(baked, undo: undo) }
    #expect(!text.contains("\n"), "\(text)")
    #expect(try bench.folder.names == before)
    return text
  }

  // MARK: Files that do not belong together

  @Test("other safetensors files are no undo files")
  func otherFile() throws {
    for name in ["base.safetensors", "out.safetensors", "adapter.safetensors"] {
      #expect(
        try refusal(undo: name) == "\(name): expected an undo file of lathe bake, found another safetensors file")
    }
  }

  @Test("a truncated undo file is refused wherever it ends")
  func truncated() throws {
    let bytes = try bench.folder.bytes(of: "undo")
    for count in [0, 7, 8, 200, bytes.count / 2, bytes.count - 1] {
      try bench.folder.write(Array(bytes.prefix(count)), to: "short")
      #expect(try refusal(undo: "short").hasPrefix("short: "), "\(count) bytes")
    }
  }

  @Test("the base itself, and a checkpoint of other tensors")
  func wrongBaked() throws {
    let text = try refusal("base.safetensors")
    #expect(text.contains("SHA-256: expected \(try dataHash("base.safetensors").prefix(12)) after the return, found "))
    #expect(text.hasSuffix("it was changed since"))
    try bench.base([filler("a.weight", [6, 5], .bf16, seed: 1)], "other.safetensors")
    #expect(
      try refusal("other.safetensors")
        == "other.safetensors: b.weight: expected F8_E4M3 as the undo file says, found no such tensor; hint: this is not "
        + "the checkpoint it belongs to")
    try bench.base(
      [
        filler("a.weight", [5, 6], .bf16, seed: 1), filler("b.weight", [4, 5], .f8e4m3),
        filler("b.scale_weight", [4], .f32), filler("c.weight", [3, 2], .f16),
      ], "turned.safetensors")
    #expect(
      try refusal("turned.safetensors")
        == "turned.safetensors: a.weight: expected [6, 5] as the undo file says, found [5, 6]; hint: this is not the "
        + "checkpoint it belongs to")
    try bench.base([filler("a.weight", [6, 5], .bf16)], "folder/model.safetensors")
    #expect(try refusal("folder").hasPrefix("folder: files: expected "))
  }

  private func dataHash(_ name: String) throws -> String { ContentHash.sha256(try bench.file(name).data) }

  @Test("every changed bit of a baked weight is noticed")
  func changedWeight() throws {
    let bytes = try bench.folder.bytes(of: "out.safetensors")
    let start = bytes.count - (try bench.file().data.count)
    for place in start..<bytes.count {
      var changed = bytes
      changed[place] ^= 4
      try bench.folder.write(changed, to: "changed")
      let text = bench.refusal { try bench.unbake("changed") }
      if text == "nothing was refused" {
        // The lowest bits of a scale need not reach the codes.
        #expect(try isScale(place - start) && hashOfOutput() == baseHash, "byte \(place)")
        try bench.folder.remove("back.safetensors")
      } else {
        #expect(text.contains("SHA-256: expected"), "byte \(place): \(text)")
        #expect(try !bench.folder.names.contains("back.safetensors"))
      }
    }
  }

  private func isScale(_ offset: Int) throws -> Bool {
    try bench.file().entries.contains { $0.name == "b.scale_weight" && $0.range.contains(offset) }
  }

  @Test("the metadata of the baked file may change")
  func changedMetadata() throws {
    let file = try bench.file()
    let items = file.entries.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    let head = SafetensorsLayout(inOrder: items, metadata: [("new", "title")]).head()
    try bench.folder.write(head + file.data.withUnsafeBytes(Array.init), to: "renamed")
    try bench.unbake("renamed")
    #expect(try hashOfOutput() == baseHash)
  }

  private func hashOfOutput() throws -> String {
    ContentHash.sha256(Bytes(copying: try bench.folder.bytes(of: "back.safetensors")))
  }

  // MARK: Undo files from strangers

  @Test("a newer version and a record that is none")
  func records() throws {
    func write(_ text: String) throws {
      try bench.folder.write(SafetensorsLayout([], metadata: [("lathe.undo", text)]).head(), to: "strange")
    }
    try write("[1, 2")
    #expect(
      try refusal(undo: "strange") == "strange: expected an undo file of lathe bake, found a record that cannot be read"
    )
    try write(
      #"{"version":99,"tool":"9.9","isFolder":false,"files":[],"companions":[],"weights":[],"storedTargets":[],"additions":[]}"#
    )
    #expect(
      try refusal(undo: "strange")
        == "strange: expected an undo file of lathe bake, found version 99; hint: a newer Lathe (9.9) wrote it")
  }

  /// Writes the undo file with a changed record or changed tensors.
  private func rewrite(
    record change: (String) -> String = { $0 }, tensors: (inout [String: Tensor]) -> Void = { _ in }
  ) throws {
    let file = try bench.file("undo")
    var parts = Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, file.tensor($0)) })
    tensors(&parts)
    let layout = SafetensorsLayout(
      parts.map { .init(name: $0, dtype: $1.dtype, shape: $1.shape) },
      metadata: file.metadata.map { ($0.key, change($0.value)) })
    let data = layout.places.flatMap { parts[$0.item.name]!.bytes.withUnsafeBytes(Array.init) }
    try bench.folder.write(layout.head() + data, to: "strange")
  }

  private func header(_ text: String) -> (tensor: Tensor, hash: String) {
    let bytes = RawSafetensors(header: text).bytes, packed = Zstandard.compressed(bytes)
    return (
      Tensor(dtype: .u8, shape: [packed.count], bytes: Bytes(copying: packed)),
      ContentHash.sha256(Bytes(copying: bytes))
    )
  }

  @Test(
    "headers that would overflow, leave holes, or scale by what is not there",
    arguments: [
      #""a.weight":{"dtype":"F8_E4M3","shape":[1152921504606846975],"data_offsets":[0,1152921504606846975]}"#,
      #""a.weight":{"dtype":"BF16","shape":[6,5],"data_offsets":[0,60]},"z":{"dtype":"F32","shape":[9],"data_offsets":[60,96]}"#,
      #""a.weight":{"dtype":"BF16","shape":[6,5],"data_offsets":[0,60]},"b.weight":{"dtype":"F8_E4M3","shape":[4,5],"data_offsets":[60,80]},"b.scale_weight":{"dtype":"F32","shape":[3],"data_offsets":[80,92]},"c.weight":{"dtype":"F16","shape":[3,2],"data_offsets":[92,104]}"#,
      #""a.weight":{"dtype":"BF16","shape":[6,5],"data_offsets":[0,60]},"b.weight":{"dtype":"F8_E4M3","shape":[4,5],"data_offsets":[60,80]},"b.scale_weight":{"dtype":"F8_E8M0","shape":[16],"data_offsets":[80,96]},"c.weight":{"dtype":"F16","shape":[3,2],"data_offsets":[96,108]}"#,
    ])
  func headers(_ entries: String) throws {
    let (tensor, hash) = header("{\(entries)}")
    let old = try ContentHash.sha256(bench.file("base.safetensors").head)
    try rewrite(record: { $0.replacing(old, with: hash) }, tensors: { $0["head.0"] = tensor })
    #expect(try refusal(undo: "strange") != "nothing was refused")
    // Without the right hash of the header it is not even looked at.
    try rewrite(tensors: { $0["head.0"] = tensor })
    #expect(
      try refusal(undo: "strange")
        == "strange: expected an undo file of lathe bake, found no header of base.safetensors in it")
  }

  @Test("factors of impossible shapes and formats", arguments: ["up", "down"])
  func factors(name: String) throws {
    for (dtype, shape) in [
      (DType.f32, [12]), (.f32, []), (.f32, [0, 2]), (.f32, [2, 2, 2]), (.f8e8m0, [6, 2]), (.f32, [3, 2, 1, 1, 1, 1]),
      (.f32, [1, 2]), (.f32, [60, 2]), (.i64, [6, 2]),
    ] as [(DType, [Int])] {
      let count = Shape(shape).elementCount * dtype.bits / 8
      let tensor = Tensor(dtype: dtype, shape: Shape(shape), bytes: Bytes(copying: [UInt8](repeating: 1, count: count)))
      try rewrite(tensors: { $0["target.0.\(name)"] = tensor })
      #expect(try refusal(undo: "strange") != "nothing was refused", "\(dtype) \(shape)")
    }
  }

  @Test(
    "numbers outside the record",
    arguments: [
      (#""rows":[0,6]"#, #""rows":[0,7]"#), (#""rows":[0,6]"#, #""rows":[6,0]"#), (#""rows":[0,6]"#, #""rows":[-1,5]"#),
      (#""deltaRows":[0,6]"#, #""deltaRows":[3,9]"#), (#""rows":[0,6]"#, #""rows":[0]"#),
      (#""weight":0"#, #""weight":99"#), (#""target":0"#, #""target":-1"#), (#""file":0"#, #""file":1"#),
      (#""path":"base"#, #""path":"../base"#), (#""isFolder":false"#, #""isFolder":true"#),
      (#""kind":"linear""#, #""kind":"cubic""#), (#""rows":[0,6]"#, #""rows":[0,9223372036854775807]"#),
      (#""dtype":"BF16""#, #""dtype":"F64""#), (#""isTransposed":false,"rows""#, #""isTransposed":true,"rows""#),
    ])
  func numbers(_ old: String, _ new: String) throws {
    var isFound = false
    try rewrite(record: {
      isFound = $0.contains(old)
      return $0.replacing(old, with: new)
    })
    #expect(isFound)
    #expect(try refusal(undo: "strange") != "nothing was refused", "\(new)")
  }

  @Test("a few lines that ask for factors of any size", arguments: [17, 20_000])
  func manyAdditions(count: Int) throws {
    try rewrite(record: { record in
      let start = record.firstRange(of: #""additions":["#)!.upperBound, end = record[start...].firstIndex(of: "}")!
      let addition = record[start...end]
      return record.replacing(addition, with: Array(repeating: addition, count: count).joined(separator: ","))
    })
    #expect(
      try refusal(undo: "strange")
        == "strange: expected an undo file of lathe bake, found more additions than a bake makes")
  }

  @Test("an adapter that was baked in many times is taken back")
  func manyTimes() throws {
    let input = AdapterInput(path: bench.folder.file("adapter.safetensors"), strength: 0.1)
    try bench.bake(Array(repeating: input, count: 40), undo: "many")
    try bench.unbake(undo: "many")
    #expect(try hashOfOutput() == baseHash)
  }

  @Test("seeded mutations give the base or a refusal", arguments: 0..<8 as Range<UInt64>)
  func mutations(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let original = try bench.folder.bytes(of: "undo")
    let headCount = original.count - (try bench.file("undo").data.count)
    var restored = 0
    for turn in 0..<120 {
      var bytes = original
      for _ in 0...generator.below(2) {
        // Half of the time in the data, where no parser looks.
        let place =
          generator.below(2) == 0
          ? generator.below(bytes.count) : headCount + generator.below(original.count - headCount)
        guard place < bytes.count else { continue }
        switch generator.below(5) {
        case 0: bytes[place] ^= 1 << generator.below(8)
        case 1: bytes[place] = [0, 0x7f, 0x80, 0xff][generator.below(4)]
        case 2: bytes.swapAt(place, generator.below(bytes.count))
        default:
          let digits = bytes.indices.filter { $0 >= 8 && $0 < headCount && (0x30...0x39).contains(bytes[$0]) }
          bytes[digits[generator.below(digits.count)]] = UInt8(0x30 + generator.below(10))
        }
      }
      try bench.folder.write(bytes, to: "mutant")
      let text = bench.refusal { try bench.unbake(undo: "mutant") }
      #expect(!text.contains("\n"), "seed \(seed), turn \(turn): \(text)")
      if text == "nothing was refused" {
        restored += 1
        #expect(try hashOfOutput() == baseHash, "seed \(seed), turn \(turn)")
        try bench.folder.remove("back.safetensors")
      } else {
        #expect(!(try bench.folder.names.contains { $0.hasPrefix("back") || $0.hasSuffix(".partial") }), "\(text)")
      }
    }
    #expect((1..<100).contains(restored), "seed \(seed): \(restored) restored")
  }
}

extension TemporaryFolder {
  fileprivate func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: file(name)) }
}
