import Adapters
import Spectra
import TestSupport
import Testing

/// Proves that what is computed from the matrices of Kronecker products is what their dense deltas say, and that large ones
/// do not take the time of dense deltas.
@Suite struct KroneckerTests {
  private typealias Shape = (name: String, first: [Int], second: [Int])
  /// Square, wide, tall, with a kernel, and with a first matrix that is a number.
  private static let shapes: [Shape] = [
    ("lora_unet_a", [3, 3], [4, 4]), ("lora_unet_b", [2, 4], [3, 5]), ("lora_unet_c", [4, 2], [6, 3]),
    ("lora_unet_d", [2, 2], [3, 2, 3, 3]), ("lora_unet_e", [1, 1], [5, 6]),
  ]

  private func adapter(
    _ folder: TemporaryFolder, _ name: String, seed: UInt64, shapes: [Shape] = shapes,
    near other: (seed: UInt64, distance: Double)? = nil
  ) throws -> Adapter {
    let path = folder.file(name)
    let tensors = shapes.flatMap { shape -> [NamedValues] in
      [("lokr_w1", shape.first), ("lokr_w2", shape.second)].map { factor, extents in
        var values = filler("\(shape.name).\(factor)", extents, .f64, seed: seed)
        if let other {
          let noise = filler("", extents, .f64, seed: other.seed).values
          values.values = zip(values.values, noise).map { $0 + other.distance * $1 }
        }
        return values
      }
    }
    try writeAdapter(to: path, tensors: tensors)
    return try Adapter(path: path)
  }

  @Test(
    "Distances of Kronecker products are those of the dense deltas, with strengths",
    arguments: [(1.0, 1.0, nil), (0.5, -2, nil), (0, 1, nil), (1, 1, 1e-6), (1, 1, 0)] as [(Double, Double, Double?)])
  func comparison(strengthA: Double, strengthB: Double, distance: Double?) throws {
    let folder = try TemporaryFolder(), a = try adapter(folder, "a", seed: 3)
    let b =
      try distance.map { try adapter(folder, "b", seed: 3, near: (4, $0)) } ?? adapter(folder, "b", seed: 4)
    let comparison = try Comparison(a, b, strengths: (strengthA, strengthB), threads: 2)
    for (entry, (x, y)) in zip(comparison.entries, zip(a.targets, b.targets)) {
      let first = x.dense.map { $0 * strengthA }, second = y.dense.map { $0 * strengthB }
      let difference = zip(first, second).map { $0 - $1 }, size = Dense.norm(first) + Dense.norm(second)
      func isClose(_ found: Double, _ expected: Double) -> Bool {
        // Dense differences are off by the rounding of what they are the difference of.
        abs(found - expected) <= 1e-12 * expected + 1e-15 * size
      }
      #expect(isClose(entry.normA, Dense.norm(first)), "\(entry.name)")
      #expect(isClose(entry.normB, Dense.norm(second)), "\(entry.name)")
      #expect(isClose(entry.difference, Dense.norm(difference)), "\(entry.name)")
      #expect(abs(entry.inner - inner(first, second)) <= 1e-13 * size * size, "\(entry.name)")
      func sigma(_ values: [Double]) -> Double { Dense.singularValues(values, rows: x.rows, columns: x.columns)[0] }
      #expect(isClose(entry.spectralA, sigma(first)), "\(entry.name)")
      #expect(isClose(entry.spectralDifference, sigma(difference)), "\(entry.name)")
    }
  }

  @Test("Angles and cross-talk are those of the same deltas in other factors")
  func otherFactors() throws {
    let folder = try TemporaryFolder()
    let pair = [try adapter(folder, "a", seed: 5), try adapter(folder, "b", seed: 6)]
    // The same deltas as full differences, of which nothing but the dense delta is known.
    let full = try pair.enumerated().map { index, adapter in
      let path = folder.file("full\(index)")
      try writeAdapter(
        to: path, tensors: adapter.targets.map { ("\($0.name).diff", $0.shape.extents, .f64, $0.dense) })
      return try Adapter(path: path)
    }
    let found = try Comparison(pair[0], pair[1], threads: 2), expected = try Comparison(full[0], full[1], threads: 2)
    for (a, b) in zip(found.entries, expected.entries) {
      #expect(relativeDifference(a.upCosines, b.upCosines) <= 1e-12, "\(a.name)")
      #expect(relativeDifference(a.downCosines, b.downCosines) <= 1e-12, "\(a.name)")
    }
    func numbers(_ adapters: [Adapter]) throws -> [[Double]] {
      try CrossTalk(adapters, strengths: [0.5, -2], threads: 2).pairs.map {
        [
          $0.cosine ?? .nan, $0.output, $0.input, $0.outputOverlap, $0.inputOverlap, $0.randomOutputOverlap,
          $0.randomInputOverlap, Double($0.sharedTargets),
        ]
      }
    }
    for (a, b) in zip(try numbers(pair), try numbers(full)) { #expect(relativeDifference(a, b) <= 1e-12) }
  }

  @Test("A NaN in one of the matrices is named")
  func notFinite() throws {
    let folder = try TemporaryFolder(), path = folder.file("nan.safetensors"), name = "lora_unet_a"
    try writeAdapter(
      to: path,
      tensors: [filler("\(name).lokr_w1", [2, 2]), ("\(name).lokr_w2", [2, 2], .f32, [1, .nan, 1, 1])])
    let adapter = try Adapter(path: path)
    let error = #expect(throws: AdapterError.self) { try Comparison(adapter, adapter, threads: 1) }
    #expect(error?.description.contains("lokr_w2: expected finite values, found 1 NaN or infinite") == true)
  }

  @Test("Large products take no time of dense deltas")
  func large() throws {
    let folder = try TemporaryFolder()
    let shapes = (0..<6).map { ("lora_unet_\($0)", [8, 8], [160, 160]) as Shape }
    let a = try adapter(folder, "a", seed: 7, shapes: shapes), b = try adapter(folder, "b", seed: 8, shapes: shapes)
    let duration = try ContinuousClock().measure {
      let comparison = try Comparison(a, b, threads: 2)
      #expect(comparison.entries.count == 6)
    }
    // From one core of 2560 components each of them took many seconds.
    #expect(duration < .seconds(20), "\(duration)")
  }
}
