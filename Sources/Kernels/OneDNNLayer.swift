/// Packed weights, with a primitive for each kind of input that they have met.
struct OneDNNLayer<Case: Hashable> {
  private let bias: FeatureMap?
  private var weights: PackedWeights
  private var primitives: [Case: OneDNNPrimitive] = [:]

  init(_ weights: PackedWeights, bias: FeatureMap?) {
    self.weights = weights
    self.bias = bias
  }

  /// - Parameter make: the primitive for `work`, which is asked for once.
  mutating func run(
    _ work: Case, _ x: FeatureMap, into target: FeatureMap, _ backend: NativeBackend, make: () -> OneDNNPrimitive
  ) {
    let primitive = primitives[work] ?? prepare(work, make(), backend.pool)
    primitive.run(
      source: x.base, weights: weights.memory.base, bias: bias?.base, target: target.base,
      scratch: backend.scratch(primitive.scratchBytes))
  }

  private mutating func prepare(_ work: Case, _ primitive: OneDNNPrimitive, _ pool: MemoryPool) -> OneDNNPrimitive {
    // Layouts differ between sizes now and then; the last one wins, and the primitives for others must be made anew.
    if weights.arrange(as: primitive.weights, pool: pool) { primitives = [:] }
    primitives[work] = primitive
    return primitive
  }
}
