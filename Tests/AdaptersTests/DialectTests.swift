import Adapters
import Checkpoints
import Models
import TestSupport
import Testing

/// Proves that adapters in every spelling are read as the libraries that use them read them: the deltas here are
/// LyCORIS', diffusers' and PEFT's own.
@Suite struct DialectTests {
  private static let supported = DialectGolden.all.filter { !$0.targets.isEmpty }

  /// The golden's name of a target as the reader spells it: list entries have numbers only.
  private func name(_ name: String, in golden: DialectGolden) -> String {
    golden.file == "cloneofsimo_list.pt" ? "unet:\(name)" : name
  }

  /// scale · up · (mid ·) down, by plain loops over the definition.
  private func delta(of target: Target) -> [Double] {
    let up = target.up.doubles()
    let down = target.down.doubles()
    let rows = target.up.shape[0]
    let upRank = target.up.shape[1]
    let inputs = target.down.shape[1]
    let product: [Double]
    if let mid = target.mid {
      // ΔW[o,i,x] = Σ_pq up[o,p] · mid[p,q,x] · down[q,i], where x runs over the kernel.
      let downRank = target.down.shape[0]
      let kernel = mid.shape.extents.dropFirst(2).reduce(1, *)
      let values = mid.doubles()
      var result = [Double](repeating: 0, count: rows * inputs * kernel)
      for o in 0..<rows {
        for i in 0..<inputs {
          for x in 0..<kernel {
            for p in 0..<upRank {
              for q in 0..<downRank {
                result[(o * inputs + i) * kernel + x] +=
                  up[o * upRank + p] * values[(p * downRank + q) * kernel + x] * down[q * inputs + i]
              }
            }
          }
        }
      }
      product = result
    } else {
      let columns = down.count / upRank
      product = Dense.product(up, down, rows: rows, inner: upRank, columns: columns)
    }
    let scaled = product.map { target.scale * $0 }
    return target.isTransposed ? Dense.transposed(scaled, rows: rows, columns: inputs) : scaled
  }

  @Test("the spelling and the container are recognised", arguments: DialectGolden.all)
  func format(golden: DialectGolden) throws {
    let adapter = try Adapter(path: golden.path)
    #expect(adapter.format.rawValue == golden.format)
    #expect((adapter.data == nil) == (golden.container == "torch-pickle"))
    #expect(adapter.unknown.isEmpty && adapter.byteCount > 0)
  }

  @Test("targets, ranks, scales, shapes and deltas are the libraries'", arguments: supported)
  func targets(golden: DialectGolden) throws {
    let adapter = try Adapter(path: golden.path)
    let byName = Dictionary(
      uniqueKeysWithValues: adapter.targets.filter { $0.algorithm == .lora }.map { ($0.name, $0) })
    #expect(Set(byName.keys) == Set(golden.targets.keys.map { name($0, in: golden) }))
    for (goldenName, expected) in golden.targets {
      let target = try #require(byName[name(goldenName, in: golden)])
      #expect(target.rank == expected.rank, "\(goldenName)")
      #expect(abs(target.scale - expected.scale) <= 1e-15 * abs(expected.scale), "\(goldenName)")
      #expect(target.shape.extents == expected.shape, "\(goldenName)")
      #expect(target.rows * target.columns == expected.delta.count, "\(goldenName)")
      #expect(relativeDifference(delta(of: target), expected.delta) <= 1e-13, "\(goldenName)")
    }
  }

  @Test("the same module has the same key in every spelling", arguments: supported)
  func keys(golden: DialectGolden) throws {
    let adapter = try Adapter(path: golden.path)
    for target in adapter.targets {
      guard let base = golden.targets.first(where: { name($0.key, in: golden) == target.name })?.value.base else {
        continue
      }
      // Part of a fused weight is a target of its own.
      guard target.name != "single_blocks.0.processor.qkv_lora" else {
        #expect(target.key == TargetKey(.denoiser, "single_blocks_0_linear1_qkv_rows"))
        continue
      }
      let (component, path): (Component, String) =
        if base.hasPrefix("unet.") {
          (.denoiser, String(base.dropFirst(5)))
        } else if base.hasPrefix("text_encoder.text_model.") { (.textEncoder1, String(base.dropFirst(24))) } else {
          (.denoiser, base)
        }
      #expect(target.key == TargetKey(component, String(path.map { $0 == "." ? "_" : $0 })), "\(target.name)")
    }
  }

  @Test(
    "other algorithms are recognised by name, and those that depend on the base say so",
    arguments: DialectGolden.all)
  func otherAlgorithms(golden: DialectGolden) throws {
    let adapter = try Adapter(path: golden.path)
    let others = adapter.targets.filter { $0.algorithm != .lora }
    func module(_ name: String) -> String {
      for label in [".w_norm", ".b_norm", ".diff_b"] where name.hasSuffix(label) {
        return String(name.dropLast(label.count))
      }
      return name
    }
    let found =
      adapter.unsupported.map { ($0.name, $0.algorithm) } + adapter.dependents.map { (module($0.name), $0.algorithm) }
      + others.map { (module($0.name), $0.algorithm) }
    #expect(Dictionary(found, uniquingKeysWith: { a, _ in a }).mapValues(\.rawValue) == golden.unsupported)
    // What the file alone gives a delta needs no base.
    #expect(others.allSatisfy { [.loha, .lokr, .full, .norm].contains($0.algorithm) })
    let needy = adapter.problems.filter(\.dependsOnBase).map(\.description)
    #expect(
      needy
        == adapter.dependents.map {
          "\($0.name): \($0.algorithm.rawValue) depends on the base weight: expected a base, found none"
        })
    let messages = adapter.problems.filter { if case .unsupported = $0.kind { true } else { false } }.map(\.description)
    let expected = adapter.unsupported.map {
      "\($0.name): algorithm: expected one that this version works on, found \($0.algorithm.rawValue)"
    }
    #expect(messages.sorted() == expected.sorted())
    for target in adapter.unsupported { #expect(!target.tensors.isEmpty && target.parameterCount > 0) }
    if !adapter.unsupported.isEmpty || !adapter.dependents.isEmpty {
      #expect(throws: AdapterError.self) { try adapter.requireWorkable(allowingUnknown: true) }
    }
  }

  @Test(
    "a stored content hash is checked against the tensors", arguments: DialectGolden.all.filter { $0.modelHash != nil })
  func hashes(golden: DialectGolden) throws {
    let expected = try #require(golden.modelHash)
    let adapter = try Adapter(path: golden.path)
    let hashes = try AdapterHashes(of: adapter)
    #expect(hashes.content == expected.actual && hashes.autoV3 == String(expected.actual.prefix(12)))
    #expect(hashes.autoV2 == String(hashes.sha256.prefix(10)) && hashes.sha256.count == 64)
    let problem = hashes.staleHash(in: adapter)?.description
    let stale =
      "sshs_model_hash: expected \(expected.actual.prefix(12)), found \(expected.stored.prefix(12)); "
      + "the tensors changed after it was written"
    #expect(problem == (expected.stored == expected.actual ? nil : stale))
  }

  @Test(
    "embeddings that come along are kept, not taken for targets",
    arguments: DialectGolden.all.filter { $0.embeddings != nil })
  func embeddings(golden: DialectGolden) throws {
    let adapter = try Adapter(path: golden.path)
    let found = Dictionary(uniqueKeysWithValues: adapter.passedThrough.map { ($0.name, $0.tensor.shape.extents) })
    #expect(found == golden.embeddings)
  }
}
