import LinearAlgebra
import Tensors

/// Deltas of other algorithms than LoRA, written as a product up · down: exactly, because every entry of the factors is a
/// product of two stored numbers, or one of them (doubles hold the product of two floats).
///
/// Where such a product had as many components as the weight has rows or columns, the delta itself is one factor and the
/// other one is the identity.
struct ComposedFactors {
  /// rows × components.
  let up: Tensor
  /// components × inputs × kernel.
  let down: Tensor
  /// The product, where one of the factors is the identity.
  let whole: Tensor?
  /// Two matrices of which the product is the Kronecker product.
  private(set) var kronecker: (first: Tensor, second: Tensor)?

  /// A matrix with its kernel: rows × inputs × kernel, as doubles.
  struct Block {
    let rows: Int
    let inputs: Int
    let kernel: [Int]
    /// Asked whenever it is needed.
    let values: @Sendable () -> [Double]

    var columns: Int { inputs * kernel.reduce(1, *) }

    init(rows: Int, inputs: Int, kernel: [Int] = [], values: @escaping @Sendable () -> [Double]) {
      (self.rows, self.inputs, self.kernel, self.values) = (rows, inputs, kernel, values)
    }

    init(_ tensor: Tensor) {
      self.init(
        rows: tensor.shape[0], inputs: tensor.shape[1], kernel: Array(tensor.shape.extents.dropFirst(2)),
        values: { tensor.doubles() })
    }

    static func identity(_ count: Int) -> Block {
      Block(rows: count, inputs: count) { (0..<count * count).map { $0 / count == $0 % count ? 1 : 0 } }
    }

    /// A flat matrix's columns as inputs × kernel, where they can be that.
    func unfolded(_ points: [Int]) -> Block {
      let count = points.reduce(1, *)
      guard kernel.isEmpty, count > 1, inputs % count == 0 else { return self }
      return Block(rows: rows, inputs: inputs / count, kernel: points, values: values)
    }

    var transposed: Block {
      let (rows, columns) = (rows, inputs), values = values
      return Block(rows: columns, inputs: rows) { values().transposed(rows: rows, columns: columns) }
    }

    /// Σ_q self[p, q] · other[q, …].
    func times(_ other: Block) -> Block {
      precondition(kernel.isEmpty && inputs == other.rows, "blocks that do not fit")
      let (rows, inner, columns) = (rows, inputs, other.columns), left = values, right = other.values
      return Block(rows: rows, inputs: other.inputs, kernel: other.kernel) {
        reproducibleProduct(left(), right(), rows: rows, rank: inner, columns: columns)
      }
    }

    /// The same size with other numbers.
    func mapping(_ change: @escaping @Sendable ([Double]) -> [Double]) -> Block {
      let values = values
      return Block(rows: rows, inputs: inputs, kernel: kernel) { change(values()) }
    }

    /// The columns of both beside each other. Neither has a kernel.
    func beside(_ other: Block) -> Block {
      precondition(rows == other.rows && kernel.isEmpty && other.kernel.isEmpty, "blocks that do not fit")
      let (rows, left, right) = (rows, inputs, other.inputs), first = values, second = other.values
      return Block(rows: rows, inputs: left + right) {
        let (a, b) = (first(), second())
        var values: [Double] = []
        values.reserveCapacity(a.count + b.count)
        for row in 0..<rows {
          values += a[row * left..<(row + 1) * left]
          values += b[row * right..<(row + 1) * right]
        }
        return values
      }
    }

    /// The rows of both below each other.
    func above(_ other: Block) -> Block {
      precondition(inputs == other.inputs && kernel == other.kernel, "blocks that do not fit")
      let first = values, second = other.values
      return Block(rows: rows + other.rows, inputs: inputs, kernel: kernel) { first() + second() }
    }

    fileprivate var tensor: Tensor { Tensor(shape: Shape([rows, inputs] + kernel), computedBy: values) }
  }

  /// A matrix as the product of two.
  struct Pair {
    let up: Block
    let down: Block
    /// The product, where one of them is the identity.
    let whole: Block?

    var rank: Int { up.inputs }

    /// A matrix of its own, as its product with the identity of its smaller side.
    init(whole: Block) {
      let columns = whole.columns
      self.whole = whole
      guard whole.rows > columns else {
        (up, down) = (.identity(whole.rows), whole)
        return
      }
      up = Block(rows: whole.rows, inputs: columns, values: whole.values)
      down = Block(
        rows: columns, inputs: whole.inputs, kernel: whole.kernel, values: Block.identity(columns).values)
    }

    init(up: Block, down: Block) {
      precondition(up.inputs == down.rows, "blocks that do not fit")
      (self.up, self.down, whole) = (up, down, nil)
    }
  }

  private init(_ pair: Pair) { (up, down, whole) = (pair.up.tensor, pair.down.tensor, pair.whole?.tensor) }

  /// up · down: rows × columns.
  func product() -> [Double] {
    whole?.doubles()
      ?? reproducibleProduct(
        up.doubles(), down.doubles(), rows: up.shape[0], rank: up.shape[1],
        columns: down.elementCount / max(down.shape[0], 1))
  }

  /// A product whose factors are known.
  init(up: Block, down: Block) { self.init(Pair(up: up, down: down)) }

  /// A product of two factors that may have more components than it has rows or columns.
  init(product up: Block, _ down: Block) {
    self.init(
      up.inputs < min(up.rows, down.columns) ? Pair(up: up, down: down) : Pair(whole: up.times(down)))
  }

  /// A matrix of no known factors: a stored difference of a whole weight, say.
  init(whole: Block) { self.init(Pair(whole: whole)) }

  /// LoHa: the elementwise product of two matrices of low rank.
  ///
  /// (B₁A₁) ∘ (B₂A₂) = B·A with B's columns the elementwise products of all pairs of columns, A's rows likewise.
  init(elementwise a: Pair, _ b: Pair) {
    let (rows, columns) = (a.up.rows, a.down.columns), (r, s) = (a.rank, b.rank)
    let whole = Block(rows: rows, inputs: a.down.inputs, kernel: a.down.kernel) {
      zip(a.up.times(a.down).values(), b.up.times(b.down).values()).map { $0 * $1 }
    }
    guard r * s < min(rows, columns) else {
      self.init(Pair(whole: whole))
      return
    }
    let up = Block(rows: rows, inputs: r * s) {
      let (x, y) = (a.up.values(), b.up.values())
      var values: [Double] = []
      values.reserveCapacity(rows * r * s)
      for i in 0..<rows { for p in 0..<r { for q in 0..<s { values.append(x[i * r + p] * y[i * s + q]) } } }
      return values
    }
    let down = Block(rows: r * s, inputs: a.down.inputs, kernel: a.down.kernel) {
      let (x, y) = (a.down.values(), b.down.values())
      var values: [Double] = []
      values.reserveCapacity(r * s * columns)
      for p in 0..<r {
        for q in 0..<s { for j in 0..<columns { values.append(x[p * columns + j] * y[q * columns + j]) } }
      }
      return values
    }
    self.init(Pair(up: up, down: down))
  }

  /// LoKr: the Kronecker product of two matrices, of which the second may have a kernel.
  ///
  /// (U₁V₁) ⊗ (U₂V₂) = (U₁ ⊗ U₂)·(V₁ ⊗ V₂).
  init(kronecker a: Pair, _ b: Pair) {
    let (p, q) = (a.up.rows, a.down.inputs), (u, v) = (b.up.rows, b.down.inputs)
    let count = a.rank * b.rank, points = b.down.kernel.reduce(1, *)
    guard count < min(p * u, q * v * points) else {
      let (first, second) = (a.up.times(a.down), b.up.times(b.down))
      self.init(Pair(whole: Self.kronecker(first, second)))
      kronecker = (first.tensor, second.tensor)
      return
    }
    self.init(Pair(up: Self.kronecker(a.up, b.up), down: Self.kronecker(a.down, b.down)))
  }

  /// Rows and inputs of both run together, those of the second faster; then the kernel of the second.
  private static func kronecker(_ a: Block, _ b: Block) -> Block {
    precondition(a.kernel.isEmpty, "only the second matrix of a Kronecker product has a kernel")
    let (p, q) = (a.rows, a.inputs), (u, columns) = (b.rows, b.columns)
    return Block(rows: p * u, inputs: q * b.inputs, kernel: b.kernel) {
      let (x, y) = (a.values(), b.values())
      var values: [Double] = []
      values.reserveCapacity(p * u * q * columns)
      for i in 0..<p {
        for j in 0..<u {
          for m in 0..<q {
            let factor = x[i * q + m]
            for n in 0..<columns { values.append(factor * y[j * columns + n]) }
          }
        }
      }
      return values
    }
  }
}

extension Tensor {
  /// Doubles that are computed whenever they are asked for.
  init(shape: Shape, computedBy values: @escaping @Sendable () -> [Double]) {
    self.init(
      dtype: .f64, shape: shape,
      bytes: Bytes(count: 8 * shape.elementCount) { Tensor(values(), shape: shape, dtype: .f64).bytes })
  }
}

extension [Double] {
  /// The transposed one of a row-major matrix.
  package func transposed(rows: Int, columns: Int) -> [Double] {
    var result = [Double](repeating: 0, count: count)
    for i in 0..<rows { for j in 0..<columns { result[j * rows + i] = self[i * columns + j] } }
    return result
  }
}
