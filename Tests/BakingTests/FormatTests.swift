import Factoring
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves what becomes of number formats: eight-bit weights with and without scales, and a change of format.
@Suite struct FormatTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  private static let eight: [DType] = [.f8e4m3, .f8e5m2]

  /// Half of the largest step of a format at numbers up to `size`, in single precision.
  private func halfStep(_ dtype: DType, _ value: Double, scale: Double = 1) -> Double {
    let size = abs(value) / scale, unit = dtype.unitRoundoff!
    let smallest = dtype == .f8e4m3 ? 0x1p-9 : 0x1p-16
    return scale * max(unit * max(size, .leastNormalMagnitude).binade * (1 + 1e-5), smallest / 2 * (1 + 1e-5)) + 1e-9
  }

  @Test("plain 8-bit weights: widened, added, rounded, clamped", arguments: eight)
  func plain(_ dtype: DType) throws {
    let largest = Double(SumRounding(dtype)!.largest)
    var values = SplitMix64(seed: 3).first(120)
    values[7] = largest
    values[8] = -largest
    try bench.base([("a.weight", [10, 12], dtype, values)])
    let change = Change("lora_unet_a", 10, 12, size: dtype == .f8e4m3 ? 400 : 40_000)
    let result = try bench.bake([.init(path: bench.adapter([change]))])
    let sums = plus(Tensor(values, shape: [120], dtype: dtype).doubles(), change.delta)
    let found = try bench.values("a.weight")
    let faults = zip(found, sums).count { found, sum in
      let expected = min(max(sum, -largest), largest)
      return !(abs(found - expected) <= halfStep(dtype, expected))
    }
    #expect(faults == 0)
    let limit = largest + (dtype == .f8e4m3 ? 16 : 4096)
    #expect(result.total.clampedCount == sums.count { abs($0) >= limit } && result.total.clampedCount > 0)
    #expect(try bench.file()["a.weight"]?.dtype == dtype)
  }

  /// Weights with a scale, or one for each row.
  private func scaled(_ dtype: DType, rows: Int, isPerRow: Bool, scaleFormat: DType = .f32) -> (
    tensors: [NamedValues], values: [Double], scales: [Double]
  ) {
    let columns = 12, codes = SplitMix64(seed: 5).first(rows * columns).map { $0 * 30 }
    let stored = Tensor(codes, shape: [codes.count], dtype: dtype).doubles()
    let count = isPerRow ? rows : 1
    let scales = Tensor(
      (0..<count).map { 0.001 * Double($0 + 1) }, shape: [count], dtype: scaleFormat
    ).doubles()
    let values = stored.indices.map { stored[$0] * scales[isPerRow ? $0 / columns : 0] }
    return (
      [
        ("a.weight", [rows, columns], dtype, codes),
        ("a.scale_weight", isPerRow ? [rows, 1] : [], scaleFormat, scales),
        ("a.scale_input", [], .f32, [0.5]), ("scaled_fp8", [0], dtype, []),
      ], values, scales
    )
  }

  struct ScaleCase: Sendable {
    let dtype: DType
    let isPerRow: Bool
    var format = DType.f32
  }

  static let scaleCases =
    eight.flatMap { [ScaleCase(dtype: $0, isPerRow: false), ScaleCase(dtype: $0, isPerRow: true)] }
    + [
      ScaleCase(dtype: .f8e4m3, isPerRow: true, format: .bf16),
      ScaleCase(dtype: .f8e4m3, isPerRow: false, format: .f16),
    ]

  @Test("a scale that still fits stays; one that does not grows, and only that", arguments: scaleCases, [false, true])
  func scales(_ item: ScaleCase, isLarge: Bool) throws {
    let (tensors, values, scales) = scaled(
      item.dtype, rows: 8, isPerRow: item.isPerRow, scaleFormat: item.format)
    try bench.base(tensors)
    // Large only in the first row's scale.
    var change = Change("lora_unet_a", 8, 12, size: 0.002)
    if isLarge {
      for component in 0..<2 { change.tensors[0].values[component] *= item.dtype == .f8e4m3 ? 500 : 100_000 }
      let up = change.tensors[0].values, down = change.tensors[1].values
      change = Change(copying: change, delta: Dense.product(up, down, rows: 8, inner: 2, columns: 12))
    }
    let result = try bench.bake([.init(path: bench.adapter([change]))])
    let found = try bench.file(), stored = found["a.weight"]!.doubles()
    let own = found["a.scale_weight"]!.doubles(), sums = plus(values, change.delta)
    #expect(found["a.scale_weight"]!.dtype == item.format)
    for (place, scale) in own.enumerated() {
      let grows = isLarge && place == 0
      #expect(grows ? scale > scales[place] : scale == scales[place], "scale \(place)")
      let row = item.isPerRow ? Array(sums[place * 12..<(place + 1) * 12]) : sums
      let needed = row.map(abs).max()! / Double(SumRounding(item.dtype)!.largest)
      if grows { #expect(scale >= needed * (1 - 1e-6) && scale <= needed * 1.02) }
    }
    let faults = sums.indices.count { index in
      let scale = own[item.isPerRow ? index / 12 : 0]
      return !(abs(stored[index] * scale - sums[index]) <= halfStep(item.dtype, sums[index], scale: scale))
    }
    #expect(faults == 0 && result.total.clampedCount == 0)
    #expect(try bench.bytes("a.scale_input") == bench.bytes("a.scale_input", "base.safetensors"))
    #expect(found["scaled_fp8"]?.dtype == item.dtype)
  }

  @Test("a scale of zero above a row of zeros does no harm")
  func zeroScale() throws {
    try bench.base([
      ("a.weight", [2, 12], .f8e4m3, [Double](repeating: 0, count: 12) + SplitMix64(seed: 1).first(12)),
      ("a.scale_weight", [2], .f32, [0, 0.1]),
    ])
    var change = Change("lora_unet_a", 2, 12)
    for place in 0..<2 { change.tensors[0].values[place] = 0 }
    try bench.bake([.init(path: bench.adapter([change]))])
    #expect(try bench.values("a.weight").prefix(12).allSatisfy { $0 == 0 })
    #expect(try bench.values("a.scale_weight") == [0, Double(Float(0.1))])
  }

  @Test("leaving the 8-bit format multiplies the scales in and drops them", arguments: eight, [DType.bf16, .f16, .f32])
  func leaving(_ dtype: DType, to target: DType) throws {
    for isPerRow in [false, true] {
      let (tensors, values, _) = scaled(dtype, rows: 8, isPerRow: isPerRow)
      let other = filler("b.weight", [3, 3], dtype, seed: 2)
      try bench.base(tensors + [other, ("b.scale_weight", [], .f32, [0.25])])
      let change = Change("lora_unet_a", 8, 12, size: 0.01)
      try bench.bake([.init(path: bench.adapter([change]))], dtype: target)
      let file = try bench.file()
      #expect(Set(file.entries.map(\.name)) == ["a.weight", "b.weight"])
      #expect(file["a.weight"]?.dtype == target && file["b.weight"]?.dtype == target)
      let unit = target.unitRoundoff! + 1e-6
      #expect(relativeDifference(file["a.weight"]!.doubles(), plus(values, change.delta)) <= unit)
      let plain = Tensor(other.values, shape: [9], dtype: dtype).doubles().map { $0 / 4 }
      #expect(file["b.weight"]!.doubles() == plain)
    }
  }

  @Test("scales of weights that are not converted stay with them")
  func otherScales() throws {
    try bench.base([
      ("model.diffusion_model.a.weight", [2, 2], .f8e4m3, [1, 2, 3, 4]),
      ("model.diffusion_model.a.scale_weight", [], .f32, [0.5]),
      ("control_model.b.weight", [2, 2], .f8e4m3, [1, 2, 3, 4]), ("control_model.b.scale_weight", [], .f32, [0.5]),
    ])
    try bench.bake([.init(path: bench.adapter([Change("lora_unet_a", 2, 2)]))], dtype: .bf16)
    let names = try bench.file().entries.map(\.name)
    #expect(names == ["model.diffusion_model.a.weight", "control_model.b.weight", "control_model.b.scale_weight"])
  }

  @Test(
    "--dtype from every format to every other", arguments: [DType.f32, .f16, .bf16, .f8e4m3, .f8e5m2],
    [DType.f32, .f16, .bf16, .f8e4m3])
  func conversion(_ stored: DType, to target: DType) throws {
    let tensors = [
      filler("a.weight", [8, 6], stored, seed: 1), filler("b.weight", [8, 6], stored, seed: 2),
      filler("norm.weight", [6], stored, seed: 3), ("position_ids", [1, 4], .i64, [0, 1, 2, 3]),
      filler("betas", [5], .f32, seed: 4),
    ]
    try bench.base(tensors)
    let change = Change("lora_unet_a", 8, 6, size: 0.1)
    let plan = try BakePlan(
      BakeRecipe(
        base: bench.path("base.safetensors"), inputs: [.init(path: bench.adapter([change]))], dtype: target,
        rounding: .nearest))
    let result = try plan.write(to: bench.path("out.safetensors"), overwriting: true, threads: 1)
    let file = try bench.file()
    #expect(file.data.count == plan.byteCount && file.byteCount == result.bytes)
    #expect(file.entries.map(\.name) == tensors.map(\.name))
    // Small tensors need their digits, and tables are no weights.
    let expected = [target, target, target.bits == 8 ? stored : target, .i64, .f32]
    #expect(file.entries.map(\.dtype) == expected)
    #expect(try bench.bytes("position_ids") == bench.bytes("position_ids", "base.safetensors"))
    #expect(try bench.bytes("betas") == bench.bytes("betas", "base.safetensors"))
    let old = Tensor(tensors[0].values, shape: [48], dtype: stored).doubles()
    let faults = zip(file["a.weight"]!.doubles(), plus(old, change.delta)).count {
      !(abs($0 - $1) <= (target.bits == 8 ? halfStep(target, $1) : target.unitRoundoff! * abs($1) * 1.001 + 1e-6))
    }
    #expect(faults == 0)
    let other = Tensor(tensors[1].values, shape: [48], dtype: stored).doubles()
    #expect(file["b.weight"]!.doubles() == Tensor(other, shape: [48], dtype: target).doubles())
  }

  @Test(
    "an overflow of f16 is an error in every rounding, and in weights that nothing is added to",
    arguments: Rounding.allCases)
  func overflow(_ rounding: Rounding) throws {
    try bench.base([("a.weight", [2, 2], .f16, [1, 2, 65504, 3]), ("b.weight", [1, 2], .bf16, [1e6, 0])])
    let small = try bench.adapter([Change("lora_unet_a", 2, 2, size: 1e-6)])
    let large = try bench.adapter([Change("lora_unet_a", 2, 2, size: 1e5)], "large.safetensors")
    let text = bench.refusal { try bench.bake([.init(path: large)], rounding: rounding) }
    #expect(
      text.hasPrefix("base.safetensors: a.weight: expected finite F16 numbers, found ")
        && text.hasSuffix("NaN or infinite; the sum is too large for the format"), "\(text)")
    let other = bench.refusal { try bench.bake([.init(path: small)], dtype: .f16, rounding: rounding) }
    #expect(
      other.contains("b.weight: expected finite F16 numbers, found 1 NaN or infinite; the sum is too large"), "\(other)"
    )
    #expect(try bench.folder.names == ["adapter.safetensors", "base.safetensors", "large.safetensors"])
  }
}

extension SplitMix64 {
  /// Normal numbers from the beginning of the generator.
  func first(_ count: Int) -> [Double] {
    var copy = self
    return copy.gaussians(count)
  }
}

extension Change {
  /// The same tensors with another delta.
  init(copying other: Change, delta: [Double]) {
    (tensors, self.delta) = (other.tensors, delta)
  }
}
