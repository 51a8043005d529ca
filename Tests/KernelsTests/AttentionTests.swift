import CKernels
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

@Suite struct AttentionTests {
  struct Work: Sendable, CustomStringConvertible {
    var batch = 1
    var heads = 2
    let size: Int
    let queries: Int
    let keys: Int
    var isCausal = false
    var description: String {
      "\(batch) × \(heads) heads of \(size), \(queries) to \(keys)\(isCausal ? ", causal" : "")"
    }
  }

  /// Around the lanes of vectors, strips and blocks of keys; heads of one feature, and of odd numbers of them.
  static let works = [
    Work(size: 1, queries: 1, keys: 1), Work(size: 3, queries: 5, keys: 2), Work(size: 8, queries: 16, keys: 15),
    Work(batch: 3, size: 17, queries: 49, keys: 33), Work(size: 40, queries: 95, keys: 129),
    Work(batch: 2, size: 64, queries: 97, keys: 128), Work(heads: 1, size: 80, queries: 31, keys: 257),
    Work(heads: 1, size: 160, queries: 17, keys: 77), Work(heads: 1, size: 512, queries: 20, keys: 35),
    Work(heads: 5, size: 4, queries: 77, keys: 77, isCausal: true),
    Work(size: 64, queries: 33, keys: 33, isCausal: true),
    Work(batch: 2, heads: 1, size: 40, queries: 150, keys: 150, isCausal: true),
    Work(size: 7, queries: 1, keys: 1, isCausal: true),
  ]

  @Test("agrees with plain loops on parts of wider maps", arguments: KernelsUnderTest.available, works)
  func parts(_ kind: KernelsUnderTest, _ work: Work) {
    if kind == .reference || kind == .winograd { return }
    KernelThread.run {
      let backend = kind.make(), plain = ReferenceBackend(), channels = work.heads * work.size
      var generator = SplitMix64(seed: UInt64(work.size * 1000 + work.queries))
      // As networks have it: queries beside keys and values, and keys and values of a text beside each other.
      let joined = work.queries == work.keys
      let own = FeatureMap.random(
        batch: work.batch, width: work.queries, channels: (joined ? 3 : 1) * channels, from: &generator,
        pool: backend.pool)
      let text = FeatureMap.random(
        batch: work.batch, width: work.keys, channels: 2 * channels, from: &generator, pool: backend.pool)
      func result(_ backend: any Backend) -> FeatureMap {
        let own = backend.asOperand(own), text = backend.asOperand(text)
        let k = joined ? own[channels: channels..<2 * channels] : text[channels: 0..<channels]
        let v = joined ? own[channels: 2 * channels..<3 * channels] : text[channels: channels..<2 * channels]
        return backend.attention(own[channels: 0..<channels], k, v, heads: work.heads, isCausal: work.isCausal)
      }
      let found = result(backend), expected = result(plain)
      #expect(found.size == own.size && found.channels == channels)
      #expect(
        kind.accepts(found.values, expected.values, terms: work.size),
        "\(largestDifference(found.values, expected.values))")
    }
  }

  @Test(
    "each set of instructions agrees with plain loops",
    arguments: [attention_portable, attention_avx2, attention_avx512], works)
  func instructions(_ instructions: attention_instructions, _ work: Work) {
    guard attention_available(instructions, 0) != 0 else { return }
    KernelThread.run {
      let plain = ReferenceBackend(), channels = work.heads * work.size
      var generator = SplitMix64(seed: UInt64(work.size * 1000 + work.keys))
      let q = FeatureMap.random(
        batch: work.batch, width: work.queries, channels: channels, from: &generator, pool: plain.pool)
      let k = FeatureMap.random(
        batch: work.batch, width: work.keys, channels: channels, from: &generator, pool: plain.pool)
      let v = FeatureMap.random(
        batch: work.batch, width: work.keys, channels: channels, from: &generator, pool: plain.pool)
      let expected = plain.attention(q, k, v, heads: work.heads, isCausal: work.isCausal).values
      for threads in [1, 3] {
        // Numbers around the output must stay as they are.
        let margin = 64
        var output = [Float](repeating: 7, count: q.count + 2 * margin)
        output.withUnsafeMutableBufferPointer { output in
          var task = attention_task()
          task.q = UnsafeRawPointer(q.base)
          task.k = UnsafeRawPointer(k.base)
          task.v = UnsafeRawPointer(v.base)
          task.out = UnsafeMutableRawPointer(output.baseAddress! + margin)
          (task.q_row, task.k_row, task.v_row, task.out_row) = (channels, channels, channels, channels)
          task.q_batch = work.queries * channels
          task.k_batch = work.keys * channels
          task.v_batch = work.keys * channels
          task.out_batch = work.queries * channels
          (task.batches, task.heads, task.dim) = (Int32(work.batch), Int32(work.heads), Int32(work.size))
          (task.queries, task.keys) = (Int32(work.queries), Int32(work.keys))
          task.scale = 1 / Float(work.size).squareRoot()
          task.causal = work.isCausal ? 1 : 0
          task.instructions = instructions
          let packed = plain.hostPool.hostMemory(of: attention_packed_bytes(&task))
          let scratch = plain.hostPool.hostMemory(of: attention_scratch_bytes(&task, Int32(threads)))
          attention_pack(&task, Int32(threads), packed.base)
          attention_run(&task, Int32(threads), packed.base, scratch.base)
        }
        withExtendedLifetime((q, k, v)) {}
        #expect(output.prefix(margin).allSatisfy { $0 == 7 } && output.suffix(margin).allSatisfy { $0 == 7 })
        let found = Array(output[margin..<output.count - margin])
        #expect(
          KernelsUnderTest.direct.accepts(found, expected, terms: work.size),
          "\(threads) threads: \(largestDifference(found, expected))")
      }
    }
  }

  @Test("large scores, of which one is by far the largest", arguments: KernelsUnderTest.available)
  func largeScores(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let backend = kind.make()
      // Key i is 40 times the unit vector i, and so is query i: its score exceeds all others by 1600 / √16.
      let units = (0..<16).flatMap { i in (0..<16).map { Float($0 == i ? 40 : 0) } }
      let q = backend.asOperand(FeatureMap(units, batch: 1, height: 1, width: 16, channels: 16, pool: backend.pool))
      let v = backend.asOperand(
        FeatureMap((0..<256).map { Float($0 / 16) }, batch: 1, height: 1, width: 16, channels: 16, pool: backend.pool))
      #expect(backend.attention(q, q, v, heads: 1, isCausal: false).values == v.values)
    }
  }
}
