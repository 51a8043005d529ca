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

  /// - Parameter kernel: of the weight, where its name says that it is a convolution: such matrices are stored flat.
  /// - Throws: the problem with the tensors: one is missing, or shapes disagree.
  init(_ algorithm: Algorithm, _ parts: Parts, kernel: [Int]) throws(Fault) {
    switch algorithm {
    case .loha: try self.init(loha: parts, kernel: kernel)
    case .lokr: try self.init(lokr: parts, kernel: kernel)
    case .full: try self.init(difference: parts)
    default: preconditionFailure("\(algorithm.rawValue) is not composed")
    }
  }

  /// What is wrong.
  struct Fault: Error {
    let kind: AdapterProblem.Kind
  }

  private typealias Block = ComposedFactors.Block
  private typealias Pair = ComposedFactors.Pair

  // MARK: LoHa

  private init(loha parts: Parts, kernel: [Int]) throws(Fault) {
    let a = try Self.hadamard("1", parts, kernel), b = try Self.hadamard("2", parts, kernel)
    guard a.up.rows == b.up.rows, a.down.inputs == b.down.inputs, a.down.kernel == b.down.kernel else {
      throw Self.shape(
        "two matrices of one shape", "\(a.up.rows) × \(a.down.columns) and \(b.up.rows) × \(b.down.columns)")
    }
    try Self.requirePossible([a.up.rows, a.down.columns])
    (factors, rank, usesAlpha) = (ComposedFactors(elementwise: a, b), a.rank, true)
  }

  /// w_a · w_b, or with a core t the convolution Σ t[p, q, …] · w_a[p, o] · w_b[q, i].
  private static func hadamard(_ number: String, _ parts: Parts, _ kernel: [Int]) throws(Fault) -> Pair {
    let a = try matrix("hada_w\(number)_a", parts), b = try matrix("hada_w\(number)_b", parts)
    guard let core = parts["hada_t\(number)"] else {
      let (up, down) = (Block(a), Block(b).unfolded(kernel))
      guard up.inputs == down.rows else { throw disagreement(a, b) }
      return Pair(up: up, down: down)
    }
    return try tucker(core, outputs: Block(a), inputs: Block(b))
  }

  private static func tucker(_ core: Tensor, outputs: Block, inputs: Block) throws(Fault) -> Pair {
    guard core.shape.rank >= 3, core.shape[0] == outputs.rows, core.shape[1] == inputs.rows, core.elementCount > 0
    else {
      throw shape("a core of [\(outputs.rows), \(inputs.rows), kernel]", "\(core.shape)")
    }
    let (p, q, i) = (outputs.rows, inputs.rows, inputs.inputs), kernel = Array(core.shape.extents.dropFirst(2))
    try requirePossible([p, i] + kernel)
    let points = kernel.reduce(1, *), narrow = inputs.values
    let down = Block(rows: p, inputs: i, kernel: kernel) {
      let (t, b) = (core.doubles(), narrow())
      var values = [Double](repeating: 0, count: p * i * points)
      for row in 0..<p {
        for inner in 0..<q {
          for input in 0..<i {
            for point in 0..<points {
              values[(row * i + input) * points + point] += t[(row * q + inner) * points + point] * b[inner * i + input]
            }
          }
        }
      }
      return values
    }
    return Pair(up: outputs.transposed, down: down)
  }

  // MARK: LoKr

  private init(lokr parts: Parts, kernel: [Int]) throws(Fault) {
    let first = try Self.kroneckerFactor("1", parts, [])
    let second = try Self.kroneckerFactor("2", parts, kernel)
    guard first.pair.down.kernel.isEmpty else {
      throw Self.shape("a first matrix without a kernel", "one with a kernel")
    }
    try Self.requirePossible([
      first.pair.up.rows, second.pair.up.rows, first.pair.down.columns, second.pair.down.columns,
    ])
    factors = ComposedFactors(kronecker: first.pair, second.pair)
    // Of two whole matrices nothing has a rank: their alpha is the dimension once asked for, and means nothing.
    usesAlpha = first.rank != nil || second.rank != nil
    rank = second.rank ?? first.rank ?? min(factors.up.shape[0], factors.down.shape[1])
  }

  private static func kroneckerFactor(
    _ number: String, _ parts: Parts, _ kernel: [Int]
  ) throws(Fault) -> (pair: Pair, rank: Int?) {
    if let whole = parts["lokr_w\(number)"] {
      guard whole.shape.rank >= 2, whole.elementCount > 0 else { throw shape("a matrix", "\(whole.shape)") }
      return (Pair(whole: Block(whole).unfolded(kernel)), nil)
    }
    let a = try matrix("lokr_w\(number)_a", parts), b = parts["lokr_w\(number)_b"]
    guard let b, b.shape.rank >= 2, b.elementCount > 0 else { throw missing("lokr_w\(number)_b") }
    if let core = parts["lokr_t\(number)"] {
      return (try tucker(core, outputs: Block(a), inputs: Block(b)), b.shape[0])
    }
    guard a.shape[1] == b.shape[0] else { throw disagreement(a, b) }
    return (Pair(up: Block(a), down: Block(b).unfolded(kernel)), b.shape[0])
  }

  // MARK: Full differences

  private init(difference parts: Parts) throws(Fault) {
    guard let difference = parts["diff"] else { throw Self.missing("diff") }
    guard difference.shape.rank >= 2, difference.shape.rank <= 5, difference.elementCount > 0 else {
      throw Self.shape("a weight of 2 to 5 axes", "\(difference.shape)")
    }
    factors = ComposedFactors(difference: difference)
    (rank, usesAlpha) = (min(difference.shape.flattened.rows, difference.shape.flattened.columns), false)
  }

  // MARK: Faults

  private static func matrix(_ name: String, _ parts: Parts) throws(Fault) -> Tensor {
    guard let tensor = parts[name] else { throw missing(name) }
    guard tensor.shape.rank == 2, tensor.elementCount > 0 else { throw shape("\(name) as a matrix", "\(tensor.shape)") }
    return tensor
  }

  private static func requirePossible(_ extents: [Int]) throws(Fault) {
    guard FactorShapes.isPossible(extents) else {
      throw shape(
        "a weight of at most \(FactorShapes.mostElements) elements", extents.map(String.init).joined(separator: " × "))
    }
  }

  private static func missing(_ name: String) -> Fault { Fault(kind: .missingFactor(expected: name)) }

  private static func shape(_ expected: String, _ found: String) -> Fault {
    Fault(kind: .factorShape(expected: expected, found: found))
  }

  private static func disagreement(_ a: Tensor, _ b: Tensor) -> Fault {
    shape("equal ranks of both factors", "\(a.shape) and \(b.shape)")
  }
}
