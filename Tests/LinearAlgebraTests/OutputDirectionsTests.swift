import LinearAlgebra
import TestSupport
import Testing

/// Proves that a product cut by the inputs that its layer has is the best for these inputs: against singular values of what comes
/// out of the dense product, computed with plain loops and Jacobi rotations.
@Suite struct OutputDirectionsTests {
  /// Inputs of a layer, samples × columns, with directions of very different strength.
  struct Inputs {
    let values: [Double]
    let count: Int

    init(_ count: Int, columns: Int, seed: UInt64) {
      var generator = SplitMix64(seed: seed)
      self.count = count
      let strengths: [Double] = (0..<columns).map { column in
        let size = Double(1 + column % 5)
        return column % 3 == 0 ? size / 100 : size
      }
      let noise = generator.gaussians(count * columns)
      values = noise.indices.map { noise[$0] * strengths[$0 % columns] }
    }

    func moments(of product: Product) -> InputMoments {
      var moments = InputMoments(components: product.rank)
      // In several parts, as layers show them.
      let part = max(1, count / 3) * product.columns
      for start in stride(from: 0, to: values.count, by: part) {
        Array(values[start..<min(start + part, values.count)]).withUnsafeBufferPointer { rows in
          product.down.withUnsafeBufferPointer { moments.add(rows, down: $0) }
        }
      }
      return moments
    }

    /// What comes out of a dense matrix, rows × samples.
    func outputs(of matrix: [Double], rows: Int, columns: Int) -> [Double] {
      Dense.product(
        matrix, Dense.transposed(values, rows: count, columns: columns), rows: rows, inner: columns, columns: count)
    }
  }

  static let products = [
    Product(.random, rows: 12, columns: 9, rank: 5, seed: 1),
    Product(.weighted, rows: 12, columns: 9, rank: 7, seed: 2),
    Product(.random, rows: 6, columns: 20, rank: 9, seed: 3),
    Product(.zeroComponents, rows: 10, columns: 8, rank: 6, seed: 4),
    Product(.unevenGauge, rows: 11, columns: 7, rank: 4, seed: 5),
    Product(.duplicated, rows: 9, columns: 9, rank: 6, seed: 6),
    Product(.random, rows: 5, columns: 4, rank: 1, seed: 7),
  ]

  private func cut(_ product: Product, to rank: Int, _ moments: Matrix, alike: Double = 0) throws -> [Double] {
    let core = try product.core()
    let left = try core.outputDirections(weights: product.weights, moments: moments, alike: alike).leading(rank)
    let maps = try core.decomposed(weights: product.weights, left: left).factorMaps(rank: rank)
    let (up, down) = product.mapped(by: maps)
    return Dense.product(up, down, rows: product.rows, inner: rank, columns: product.columns)
  }

  @Test("For every rank, no other matrix is nearer in what comes out", arguments: products)
  func best(product: Product) throws {
    let inputs = Inputs(40, columns: product.columns, seed: 11), moments = inputs.moments(of: product)
    #expect(moments.count == 40)
    let dense = product.dense(weights: product.weights)
    let outputs = inputs.outputs(of: dense, rows: product.rows, columns: product.columns)
    let expected = Dense.singularValues(outputs, rows: product.rows, columns: 40)
    let directions = try product.core().outputDirections(weights: product.weights, moments: moments.mean, alike: 0)
    let scale = Double(inputs.count).squareRoot(), largest = expected[0]
    for (index, value) in directions.values.enumerated() where index < expected.count {
      #expect(abs(value * scale - expected[index]) <= 1e-7 * largest, "value \(index) of \(product)")
    }
    let count = expected.prefix { $0 > 1e-6 * largest }.count
    for rank in 1...max(1, count - 1) where rank < count {
      let rest = zip(dense, try cut(product, to: rank, moments.mean)).map { $0 - $1 }
      let lost = Dense.norm(inputs.outputs(of: rest, rows: product.rows, columns: product.columns))
      let tail = Dense.norm(Array(expected.dropFirst(rank)))
      #expect(abs(lost - tail) <= 1e-9 * largest, "\(product) cut to \(rank)")
    }
  }

  @Test("Where all inputs count alike it is the cut by size", arguments: products)
  func alike(product: Product) throws {
    let core = try product.core(), decomposition = try core.decomposed(weights: product.weights)
    let rows = Dense.product(
      product.down, Dense.transposed(product.down, rows: product.rank, columns: product.columns), rows: product.rank,
      inner: product.columns, columns: product.rank)
    let gram = Matrix(rows: product.rank, columns: product.rank, elements: rows)
    for (moments, share) in [(gram, 0.0), (Matrix(zeros: product.rank, product.rank), 0.3), (gram, 1.0)] {
      let values = try core.outputDirections(weights: product.weights, moments: moments, alike: share).values
      for (index, value) in decomposition.values.enumerated() {
        #expect(abs(value - values[index]) <= 1e-7 * decomposition.values[0], "\(product)")
      }
    }
  }

  @Test("Factors in another gauge are cut to the same delta", arguments: [0, 0.1])
  func gauge(share: Double) throws {
    let plain = Product(.random, rows: 12, columns: 9, rank: 5, seed: 8)
    var other = plain
    // up·M and M⁻¹·down, with M a shear and a scale.
    for i in 0..<plain.rows {
      other.up[i * 5 + 1] = 8 * (plain.up[i * 5 + 1] + 0.5 * plain.up[i * 5])
    }
    for j in 0..<plain.columns {
      other.down[j] = plain.down[j] - 0.5 * plain.down[9 + j]
      other.down[9 + j] = plain.down[9 + j] / 8
    }
    #expect(relativeDifference(other.dense(weights: other.weights), plain.dense(weights: plain.weights)) <= 1e-13)
    let inputs = Inputs(30, columns: 9, seed: 12)
    for rank in 1...4 {
      let a = try cut(plain, to: rank, inputs.moments(of: plain).mean, alike: share)
      let b = try cut(other, to: rank, inputs.moments(of: other).mean, alike: share)
      #expect(relativeDifference(a, b) <= 1e-9, "rank \(rank)")
    }
  }

  @Test("One input, and none, leave nothing that is not a number")
  func fewInputs() throws {
    let product = Product(.random, rows: 7, columns: 6, rank: 4, seed: 9)
    for count in [0, 1] {
      let inputs = Inputs(count, columns: 6, seed: 13)
      let moments = inputs.moments(of: product).mean
      for share in [0, 0.3] {
        let directions = try product.core().outputDirections(weights: product.weights, moments: moments, alike: share)
        #expect(directions.values.allSatisfy { $0.isFinite && $0 >= 0 })
        for rank in 1...3 { #expect(try cut(product, to: rank, moments, alike: share).allSatisfy(\.isFinite)) }
      }
    }
  }
}
