import Tensors

/// Reads the targets of LoHa, LoKr and full differences.
///
/// Shapes and scales: LyCORIS 4.1.3 (`lycoris/functional/loha.py`, `lokr.py`) and ComfyUI's loaders.
struct ComposedTarget {
  let factors: ComposedFactors
  /// The rank that alpha belongs to; of matrices that are not taken apart their smaller side.
  let rank: Int
  /// Whether the delta is multiplied by alpha ÷ rank at all.
  let usesAlpha: Bool

  /// The last part of the tensors' names, and the tensors.
  typealias Parts = [String: Tensor]

  /// - Parameters:
  ///   - kernel: of the weight, where its name says that it is a convolution: such matrices are stored flat.
  /// - Throws: the problem with the tensors: one is missing, or shapes disagree.
  ///   - isOfPEFT: whether PEFT wrote them.
  init(_ algorithm: Algorithm, _ parts: Parts, kernel: [Int], isOfPEFT: Bool) throws(TargetFault) {
    switch algorithm {
    case .loha: try self.init(loha: parts, kernel: kernel)
    case .lokr: try self.init(lokr: parts, kernel: kernel, isOfPEFT: isOfPEFT)
    case .full: try self.init(difference: parts)
    default: preconditionFailure("\(algorithm.rawValue) is not composed")
    }
  }

  private typealias Block = ComposedFactors.Block
  private typealias Pair = ComposedFactors.Pair

  // MARK: LoHa

  private init(loha parts: Parts, kernel: [Int]) throws(TargetFault) {
    let a = try Self.hadamard("1", parts, kernel), b = try Self.hadamard("2", parts, kernel)
    guard a.up.rows == b.up.rows, a.down.inputs == b.down.inputs, a.down.kernel == b.down.kernel else {
      throw TargetFault.shape(
        "two matrices of one shape", "\(a.up.rows) × \(a.down.columns) and \(b.up.rows) × \(b.down.columns)")
    }
    try Self.requirePossible([a.up.rows, a.down.columns])
    (factors, rank, usesAlpha) = (ComposedFactors(elementwise: a, b), a.rank, true)
  }

  /// w_a · w_b, or with a core t the convolution Σ t[p, q, …] · w_a[p, o] · w_b[q, i].
  private static func hadamard(_ number: String, _ parts: Parts, _ kernel: [Int]) throws(TargetFault) -> Pair {
    let a = try TargetFault.matrix("hada_w\(number)_a", parts), b = try TargetFault.matrix("hada_w\(number)_b", parts)
    guard let core = parts["hada_t\(number)"] else {
      let (up, down) = (Block(a), Block(b).unfolded(kernel))
      guard up.inputs == down.rows else { throw TargetFault.disagreement(a, b) }
      return Pair(up: up, down: down)
    }
    return try tucker(core, outputs: Block(a), inputs: Block(b))
  }

  private static func tucker(_ core: Tensor, outputs: Block, inputs: Block) throws(TargetFault) -> Pair {
    guard core.shape.rank >= 3, core.shape[0] == outputs.rows, core.shape[1] == inputs.rows, core.elementCount > 0
    else {
      throw TargetFault.shape("a core of [\(outputs.rows), \(inputs.rows), kernel]", "\(core.shape)")
    }
    let (p, i) = (outputs.rows, inputs.inputs), kernel = Array(core.shape.extents.dropFirst(2)), narrow = inputs.values
    try requirePossible([p, i] + kernel)
    let down = Block(rows: p, inputs: i, kernel: kernel) {
      var values = [Double](repeating: 0, count: p * i * kernel.reduce(1, *))
      values.withUnsafeMutableBufferPointer { TuckerCore(core).multiply(narrow(), inputs: i, into: $0) }
      return values
    }
    return Pair(up: outputs.transposed, down: down)
  }

  // MARK: LoKr

  private init(lokr parts: Parts, kernel: [Int], isOfPEFT: Bool) throws(TargetFault) {
    let first = try Self.kroneckerFactor("1", parts, [])
    let second = try Self.kroneckerFactor("2", parts, kernel)
    guard first.pair.down.kernel.isEmpty else {
      throw TargetFault.shape("a first matrix without a kernel", "one with a kernel")
    }
    try Self.requirePossible([
      first.pair.up.rows, second.pair.up.rows, first.pair.down.columns, second.pair.down.columns,
    ])
    let isShifted = isOfPEFT && parts["lokr_w2"]?.shape.rank == 3
    factors =
      isShifted && first.pair.up.rows * first.pair.down.columns > 1
      ? Self.shifted(first.pair, second.pair) : ComposedFactors(kronecker: first.pair, second.pair)
    // Of two whole matrices nothing has a rank: their alpha is the dimension once asked for, and means nothing.
    usesAlpha = first.rank != nil || second.rank != nil
    rank = second.rank ?? first.rank ?? min(factors.up.shape[0], factors.down.shape[1])
  }

  /// PEFT's product of a matrix and a one-dimensional convolution's weight: the matrix's axes are those of inputs and points,
  /// and the numbers are then taken for rows × inputs × points. It is odd, and what was trained.
  ///
  /// Source: PEFT 0.21 (`tuners/lokr/layer.py`: `make_kron`, which gives its matrix two axes more for four axes only).
  private static func shifted(_ first: Pair, _ second: Pair) -> ComposedFactors {
    let (a, c) = (first.up.rows, first.down.columns), points = second.down.kernel.reduce(1, *)
    let (o, i) = (second.up.rows, second.down.inputs)
    let left = (first.whole ?? first.up.times(first.down)).values, right = (second.whole ?? second.down).values
    return ComposedFactors(
      whole: Block(rows: a * o, inputs: c * i, kernel: second.down.kernel) {
        let (x, y) = (left(), right())
        var values: [Double] = []
        values.reserveCapacity(a * o * c * i * points)
        for p in 0..<o {
          for u in 0..<a {
            for q in 0..<i {
              for v in 0..<c { for t in 0..<points { values.append(x[u * c + v] * y[(p * i + q) * points + t]) } }
            }
          }
        }
        return values
      })
  }

  private static func kroneckerFactor(
    _ number: String, _ parts: Parts, _ kernel: [Int]
  ) throws(TargetFault) -> (pair: Pair, rank: Int?) {
    if let whole = parts["lokr_w\(number)"] {
      guard whole.shape.rank >= 2, whole.elementCount > 0 else { throw TargetFault.shape("a matrix", "\(whole.shape)") }
      return (Pair(whole: Block(whole).unfolded(kernel)), nil)
    }
    let a = try TargetFault.matrix("lokr_w\(number)_a", parts), b = parts["lokr_w\(number)_b"]
    guard let b, b.shape.rank >= 2, b.elementCount > 0 else { throw TargetFault.missing("lokr_w\(number)_b") }
    if let core = parts["lokr_t\(number)"] {
      return (try tucker(core, outputs: Block(a), inputs: Block(b)), b.shape[0])
    }
    guard a.shape[1] == b.shape[0] else { throw TargetFault.disagreement(a, b) }
    return (Pair(up: Block(a), down: Block(b).unfolded(kernel)), b.shape[0])
  }

  // MARK: Full differences

  private init(difference parts: Parts) throws(TargetFault) {
    guard let difference = parts["diff"] else { throw TargetFault.missing("diff") }
    guard difference.shape.rank >= 2, difference.shape.rank <= 5, difference.elementCount > 0 else {
      throw TargetFault.shape("a weight of 2 to 5 axes", "\(difference.shape)")
    }
    factors = ComposedFactors(whole: Block(difference))
    (rank, usesAlpha) = (min(difference.shape.flattened.rows, difference.shape.flattened.columns), false)
  }

  // MARK: Faults

  private static func requirePossible(_ extents: [Int]) throws(TargetFault) {
    guard FactorShapes.isPossible(extents) else {
      throw TargetFault.shape(
        "a weight of at most \(FactorShapes.mostElements) elements", extents.map(String.init).joined(separator: " × "))
    }
  }
}
