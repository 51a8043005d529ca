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
  mutating func primitive(for work: Case, pool: HostPool, make: () -> OneDNNPrimitive) -> OneDNNPrimitive {
    if let primitive = primitives[work] { return primitive }
    let primitive = make()
    // Layouts differ between sizes now and then; the last one wins, and the primitives for others must be made anew.
    if weights.arrange(as: primitive.weights, pool: pool) { primitives = [:] }
    primitives[work] = primitive
    return primitive
  }

  func run(
    _ primitive: OneDNNPrimitive, _ source: UnsafeRawPointer, into target: UnsafeMutableRawPointer,
    scratch: UnsafeMutableRawPointer
  ) {
    primitive.run(source: source, weights: weights.memory.base, bias: bias?.base, target: target, scratch: scratch)
  }
}
