import CKernels
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The transformed convolution as each set of instructions computes it, also with channels that fill no vector.
@Suite struct WinogradInstructionTests {
  struct Work: Sendable, CustomStringConvertible {
    var batch = 1
    let height: Int
    let width: Int
    let inputs: Int
    let outputs: Int
    var upsampled = false
    var description: String { "\(batch) × \(height) × \(width), \(inputs) to \(outputs)\(upsampled ? ", twice" : "")" }
  }

  static let works = [
    Work(height: 1, width: 1, inputs: 1, outputs: 1), Work(height: 3, width: 5, inputs: 3, outputs: 2),
    Work(batch: 3, height: 5, width: 9, inputs: 17, outputs: 33),
    Work(batch: 2, height: 8, width: 13, inputs: 40, outputs: 65),
    Work(height: 17, width: 4, inputs: 70, outputs: 31),
    Work(height: 2, width: 2, inputs: 5, outputs: 3, upsampled: true),
    Work(batch: 2, height: 6, width: 14, inputs: 19, outputs: 36, upsampled: true),
    Work(batch: 3, height: 10, width: 8, inputs: 48, outputs: 64, upsampled: true),
  ]

  @Test(
    "agrees with plain loops", arguments: [WINOGRAD_PORTABLE, WINOGRAD_AVX2, WINOGRAD_AVX512].map { Int32($0) }, works)
  func agrees(_ instructions: Int32, _ work: Work) {
    KernelThread.run {
      var generator = SplitMix64(seed: UInt64(work.height * 100 + work.inputs))
      let plain = ReferenceBackend(), pool = plain.hostPool, size = MapSize(height: work.height, width: work.width)
      let small = work.upsampled ? MapSize(height: work.height / 2, width: work.width / 2) : size
      let weight = generator.weight(work.outputs, work.inputs, 3, 3), bias = generator.bias(work.outputs)
      let x = FeatureMap.random(
        batch: work.batch, height: small.height, width: small.width, channels: work.inputs, from: &generator, pool: pool
      )
      let factors = plain.factors(of: generator.norm(work.inputs, pool: pool), groups: 1, for: x, offset: nil)
        .with(.silu)
      let convolution = plain.convolution(
        weight: weight, bias: bias, geometry: .same, precision: .f32, expecting: size, enlarging: work.upsampled)
      let expected = convolution(x, after: factors, enlargedTo: size).values
      let residual = generator.floats(expected.count)

      let upsampled: Int32 = work.upsampled ? 1 : 0
      let packed = pool.hostMemory(of: winograd_packed_bytes(work.outputs, work.inputs, upsampled))
      let weights = packed.base.assumingMemoryBound(to: Float.self)
      weight.bytes.withUnsafeBytes { values in
        for item in 0..<winograd_pack_items(work.outputs) {
          winograd_pack(
            values.assumingMemoryBound(to: Float.self).baseAddress!, work.outputs, work.inputs, upsampled, item, weights
          )
        }
      }
      let biases = bias.floats()
      func run(threads: Int32, adding residual: [Float]?) -> [Float] {
        let margin = 64
        var output = [Float](repeating: 7, count: expected.count + 2 * margin)
        output.withUnsafeMutableBufferPointer { output in
          biases.withUnsafeBufferPointer { biases in
            var task = winograd_task()
            (task.batch, task.height, task.width) = (work.batch, work.height, work.width)
            (task.out_channels, task.in_channels) = (work.outputs, work.inputs)
            task.upsampled = upsampled
            task.input = UnsafePointer(x.floats)
            task.scale = UnsafePointer(factors.scale.floats)
            task.shift = UnsafePointer(factors.shift.floats)
            task.silu = 1
            task.weights = UnsafePointer(weights)
            task.bias = biases.baseAddress
            task.output = output.baseAddress! + margin
            task.threads = threads
            task.instructions = instructions
            if let residual {
              for (i, value) in residual.enumerated() { output[margin + i] = value }
              task.residual = UnsafePointer(task.output)
            }
            let scratch = pool.hostMemory(of: winograd_scratch_bytes(&task))
            for item in 0..<winograd_items(&task) { winograd_run(&task, item, scratch.base) }
          }
        }
        #expect(output.prefix(margin).allSatisfy { $0 == 7 } && output.suffix(margin).allSatisfy { $0 == 7 })
        return Array(output[margin..<output.count - margin])
      }
      let found = run(threads: 1, adding: nil)
      #expect(
        KernelsUnderTest.winograd.accepts(found, expected, terms: 9 * work.inputs),
        "\(largestDifference(found, expected)) of \(rootMeanSquare(expected))")
      let sums = zip(expected, residual).map { $0 + $1 }
      #expect(KernelsUnderTest.winograd.accepts(run(threads: 1, adding: residual), sums, terms: 9 * work.inputs))
      for threads: Int32 in [2, 3, 4, 7] { #expect(run(threads: threads, adding: nil) == found, "\(threads) threads") }
      withExtendedLifetime((packed, x, factors)) {}
    }
  }
}
