import CKernels

/// A 3 × 3 convolution in f32 with a quarter of the products, by transforming tiles of the map (Winograd's F(4×4, 3×3);
/// Lavin and Gray 2016). Norm, activation, bias and sum happen on the way in and out.
final class WinogradConvolution {
  private unowned let backend: NativeBackend
  private let inputs: Int
  private let outputs: Int
  private let enlarges: Bool
  private let weights: HostMemory
  private let bias: FeatureMap?

  /// - Parameter weight: out × in × 3 × 3 in f32; `extents`: these four numbers.
  init(weight: UnsafeRawPointer, extents: [Int], bias: FeatureMap?, enlarging: Bool, backend: NativeBackend) {
    precondition(Array(extents[2...]) == [3, 3], "only kernels of 3 × 3 are transformed")
    self.backend = backend
    self.bias = bias
    outputs = extents[0]
    inputs = extents[1]
    enlarges = enlarging
    let outputs = outputs, inputs = inputs
    let packed = backend.hostPool.hostMemory(of: winograd_packed_bytes(outputs, inputs, enlarging ? 1 : 0))
    backend.team.run(winograd_pack_items(outputs)) { item, _ in
      winograd_pack(
        weight.assumingMemoryBound(to: Float.self), outputs, inputs, enlarging ? 1 : 0, item,
        packed.base.assumingMemoryBound(to: Float.self))
    }
    weights = packed
  }

  /// - Parameter sum: what is added to the result; the result is then written to the same memory.
  /// - Precondition: nobody else reads `sum` at the same time.
  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, addingTo sum: FeatureMap?) -> FeatureMap {
    precondition(x.channels == inputs, "a convolution of \(inputs) channels was given \(x.channels)")
    precondition(
      [nil, .identity, .silu].contains(factors?.activation), "only SiLU can stand before a transformed convolution")
    x.requireWhole()
    let size = enlarges ? x.size.doubled : x.size
    let result = sum ?? x.similar(channels: outputs, size: size, pool: backend.pool)
    precondition(result.size == size && result.channels == outputs, "a convolution's target has another size")
    var task = winograd_task()
    task.batch = x.batch
    task.height = size.height
    task.width = size.width
    task.out_channels = outputs
    task.in_channels = inputs
    task.upsampled = enlarges ? 1 : 0
    task.input = UnsafePointer(x.floats)
    task.scale = factors.map { UnsafePointer($0.scale.floats) }
    task.shift = factors.map { UnsafePointer($0.shift.floats) }
    task.silu = factors?.activation == .silu ? 1 : 0
    task.weights = UnsafePointer(weights.base.assumingMemoryBound(to: Float.self))
    task.bias = bias.map { UnsafePointer($0.floats) }
    task.residual = sum.map { UnsafePointer($0.floats) }
    task.output = result.floats
    task.threads = Int32(backend.team.threads)
    task.instructions = Int32(WINOGRAD_BEST)
    backend.work(.winograd) {
      // Threads work in separate parts of the scratch, each at the beginning of a cache line.
      let bytes = (winograd_scratch_bytes(&task) + 63) / 64 * 64
      let scratch = backend.scratch(bytes * backend.team.threads)
      withUnsafePointer(to: task) { task in
        backend.team.run(winograd_items(task)) { item, thread in winograd_run(task, item, scratch + thread * bytes) }
      }
    }
    withExtendedLifetime(factors) {}
    return result
  }
}
