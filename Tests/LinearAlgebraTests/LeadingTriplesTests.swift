import TestSupport
import Testing

@testable import LinearAlgebra

/// Leading singular triples of dense matrices against one-sided Jacobi rotations in double precision.
@Suite struct LeadingTriplesTests {
  static let methods: [LeadingTriples.Method] = [.gram, .krylov]
  static let shapes = [(40, 40), (97, 31), (31, 97), (700, 12), (12, 700), (1, 50), (50, 1)]

  /// A matrix of given singular values, in single precision.
  struct Sample {
    let rows: Int
    let columns: Int
    let elements: [Float]

    /// σ as given, on random orthonormal directions.
    init(_ rows: Int, _ columns: Int, values: [Double], seed: UInt64) {
      var noise = SplitMix64(seed: seed)
      let u = Self.orthonormal(rows, values.count, &noise), v = Self.orthonormal(columns, values.count, &noise)
      var elements = [Double](repeating: 0, count: rows * columns)
      for k in values.indices {
        for i in 0..<rows { for j in 0..<columns { elements[i * columns + j] += values[k] * u[k][i] * v[k][j] } }
      }
      (self.rows, self.columns, self.elements) = (rows, columns, elements.map { Float($0) })
    }

    init(_ rows: Int, _ columns: Int, _ elements: [Float]) {
      (self.rows, self.columns, self.elements) = (rows, columns, elements)
    }

    private static func orthonormal(_ length: Int, _ count: Int, _ noise: inout SplitMix64) -> [[Double]] {
      var result: [[Double]] = []
      for _ in 0..<count {
        var x = noise.gaussians(length)
        for _ in 0..<2 {
          for y in result {
            let share = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
            x = zip(x, y).map { $0 - share * $1 }
          }
        }
        let size = Dense.norm(x)
        result.append(x.map { $0 / size })
      }
      return result
    }

    var reference: [Double] { Dense.singularValues(elements.map { Double($0) }, rows: rows, columns: columns) }

    func triples(
      _ method: LeadingTriples.Method?, first: Int = 8, limit: Int,
      choosing: ([Double], Double) -> Int = { values, _ in values.count }
    ) throws -> LeadingTriples {
      try elements.withUnsafeBufferPointer {
        try LeadingTriples(
          of: DenseMatrix($0, rows: rows, columns: columns), first: first, limit: limit, method: method,
          choosing: choosing)
      }
    }

    /// ‖A − Σ σᵢuᵢvᵢᵀ‖, element by element.
    func error(_ triples: LeadingTriples) -> Double {
      let product = triples.u.scalingRows(by: triples.values).transposedTimes(triples.vt)
      return Dense.norm(zip(elements, product.elements).map { Double($0) - $1 })
    }
  }

  /// The largest |⟨xᵢ, xⱼ⟩ − δᵢⱼ| among rows.
  private static func deviation(_ rows: Matrix) -> Double {
    let gram = rows.timesTransposed(rows)
    var worst = 0.0
    for i in 0..<gram.rows {
      for j in 0..<gram.rows {
        let difference = abs(gram[i, j] - (i == j ? 1 : 0))
        worst = difference <= worst ? worst : difference
      }
    }
    return worst
  }

  @Test("values, vectors and what is left", arguments: methods, shapes.indices)
  func anyShape(_ method: LeadingTriples.Method, _ shape: Int) throws {
    let (rows, columns) = Self.shapes[shape], seed = UInt64(11 + shape)
    let count = min(rows, columns, 20)
    let sample = Sample(rows, columns, values: (0..<count).map { 3 / Double($0 + 1) }, seed: seed)
    let limit = min(6, count)
    let triples = try sample.triples(method, limit: limit), reference = sample.reference
    #expect(triples.values.count == limit, "seed \(seed)")
    let limits = method == .gram ? 1e-12 : 1e-5
    #expect(relativeDifference(triples.values, Array(reference.prefix(limit))) <= limits, "seed \(seed)")
    #expect(Self.deviation(triples.u) <= 1e-6)
    #expect(Self.deviation(triples.vt) <= 1e-6)
    let best = Dense.norm(Array(reference.dropFirst(limit))), norm = Dense.norm(reference)
    #expect(abs(sample.error(triples) - best) <= (method == .gram ? 1e-9 : 1e-5) * norm)
    #expect(abs(triples.tailEnergy.squareRoot() - best) <= (method == .gram ? 1e-7 : 1e-3) * norm)
    #expect(abs(triples.energy - norm * norm) <= 1e-12 * norm * norm)
  }

  @Test("rank one", arguments: methods)
  func rankOne(_ method: LeadingTriples.Method) throws {
    let sample = Sample(60, 90, values: [2], seed: 3)
    let triples = try sample.triples(method, limit: 10)
    // Rounding to single precision fills the rest of the matrix with noise of 10⁻⁷.
    #expect(abs(triples.values[0] - 2) <= 1e-6)
    #expect(triples.values.dropFirst().allSatisfy { $0 < 1e-5 })
    #expect(sample.error(triples) <= 3e-6)
  }

  @Test("a zero matrix has no triples", arguments: methods)
  func zero(_ method: LeadingTriples.Method) throws {
    let triples = try Sample(20, 30, [Float](repeating: 0, count: 600)).triples(method, limit: 10)
    #expect(triples.values == [])
    #expect(triples.energy == 0)
    #expect(triples.tailEnergy == 0)
    #expect(triples.u.rows == 0)
    #expect(triples.u.columns == 20)
    #expect(triples.vt.columns == 30)
  }

  @Test("equal singular values: any basis of their space is right", arguments: methods)
  func equal(_ method: LeadingTriples.Method) throws {
    let sample = Sample(50, 70, values: [5, 5, 5, 5, 1, 1, 1], seed: 5)
    let triples = try sample.triples(method, limit: 4)
    #expect(relativeDifference(triples.values, [5, 5, 5, 5]) <= 1e-5)
    #expect(Self.deviation(triples.u) <= 1e-6)
    #expect(abs(sample.error(triples) - 3.0.squareRoot()) <= 1e-4)
  }

  @Test("the identity")
  func identity() throws {
    let size = 64
    let elements = (0..<size * size).map { Float($0 % (size + 1) == 0 ? 1 : 0) }
    let triples = try Sample(size, size, elements).triples(.gram, limit: size)
    #expect(relativeDifference(triples.values, Array(repeating: 1, count: size)) <= 1e-14)
    #expect(Sample(size, size, elements).error(triples) <= 1e-12)
  }

  @Test("values a thousandth of the largest are there", arguments: methods)
  func steep(_ method: LeadingTriples.Method) throws {
    let values = [1, 0.1, 1e-2, 1e-3]
    let sample = Sample(80, 200, values: values, seed: 7)
    let triples = try sample.triples(method, limit: 4)
    for (found, expected) in zip(triples.values, sample.reference) {
      #expect(abs(found - expected) <= (method == .gram ? 1e-7 : 2e-3) * expected)
    }
    #expect(sample.error(triples) <= 3e-6)
  }

  @Test("scale does not matter", arguments: methods)
  func scale(_ method: LeadingTriples.Method) throws {
    let sample = Sample(40, 60, values: [3, 2, 1], seed: 9)
    for exponent in [-60, 60] {
      let factor = Float(sign: .plus, exponent: exponent, significand: 1)
      let scaled = Sample(40, 60, sample.elements.map { $0 * factor })
      let triples = try scaled.triples(method, limit: 3), plain = try sample.triples(method, limit: 3)
      #expect(relativeDifference(triples.values.map { $0 / Double(factor) }, plain.values) <= 1e-9)
    }
  }

  @Test("NaN and infinity are refused", arguments: methods, [Float.nan, .infinity])
  func notFinite(_ method: LeadingTriples.Method, _ value: Float) throws {
    var elements = [Float](repeating: 1, count: 600)
    elements[317] = value
    #expect(throws: LinearAlgebraError(.notFinite)) { try Sample(20, 30, elements).triples(method, limit: 3) }
  }

  @Test("more values are found when the choice asks for them", arguments: methods)
  func growing(_ method: LeadingTriples.Method) throws {
    let sample = Sample(90, 120, values: (0..<60).map { 1 / (1 + Double($0)).squareRoot() }, seed: 13)
    var asked: [Int] = []
    let triples = try sample.triples(method, first: 4, limit: 64) { values, energy in
      asked.append(values.count)
      var kept = 0.0
      for (index, value) in values.enumerated() {
        kept += value * value
        if kept >= 0.8 * energy { return index + 1 }
      }
      return values.count
    }
    #expect(asked.count >= (method == .gram ? 1 : 2))
    let reference = sample.reference, energy = reference.reduce(0) { $0 + $1 * $1 }
    let best = reference.indices.first { k in reference[...k].reduce(0) { $0 + $1 * $1 } >= 0.8 * energy }! + 1
    #expect(abs(triples.values.count - best) <= (method == .gram ? 0 : 1))
  }

  @Test("a Krylov space is within a thousandth of the best", arguments: [(400, 300), (300, 1100)])
  func slowDecay(_ rows: Int, _ columns: Int) throws {
    // The hard case: a slow power law with noise below it.
    var noise = SplitMix64(seed: 17)
    let smooth = Sample(rows, columns, values: (1...150).map { 1 / Double($0).squareRoot() }, seed: 19)
    let level = 0.3 * Dense.norm(smooth.elements.map { Double($0) }) / Double(rows * columns).squareRoot()
    let sample = Sample(rows, columns, smooth.elements.map { $0 + Float(level * noise.gaussian()) })
    let krylov = try sample.triples(.krylov, first: 32, limit: 32), gram = try sample.triples(.gram, limit: 32)
    let (found, best) = (sample.error(krylov), sample.error(gram))
    #expect(found >= best * (1 - 1e-9))
    #expect(found <= best * 1.001)
    #expect(abs(krylov.tailEnergy.squareRoot() - found) <= 1e-5 * found)
  }

  @Test("the same from any number of threads, and every time")
  func threads() throws {
    let samples = (0..<6).map { Sample(70, 90, values: [4, 3, 2, 1, 0.5], seed: 23 + UInt64($0)) }
    func run(_ threads: Int) throws -> [[Double]] {
      try concurrentMap(count: 12, threads: threads, workspace: {}) { index, _ in
        let triples = try samples[index / 2].triples(Self.methods[index % 2], limit: 4)
        return triples.values + triples.u.elements + triples.vt.elements
      }
    }
    let one = try run(1)
    #expect(try run(1) == one)
    #expect(try run(5) == one)
  }

  @Test("the distance to a product is that of the elements")
  func distance() throws {
    var noise = SplitMix64(seed: 29)
    let (rows, columns, rank) = (500, 23, 3)
    let a = noise.gaussians(rows * columns).map { Float($0) }
    let up = noise.gaussians(rows * rank), down = noise.gaussians(rank * columns)
    let product = Dense.product(up, down, rows: rows, inner: rank, columns: columns)
    let expected = Dense.norm(zip(a, product).map { Double($0) - 0.7 * $1 })
    let found = a.withUnsafeBufferPointer { a in
      up.withUnsafeBufferPointer { up in
        down.withUnsafeBufferPointer { down in
          DenseMatrix(a, rows: rows, columns: columns).squaredDistance(
            toProductOf: up, down, rank: rank, scale: 0.7, ReusableMemory())
        }
      }
    }
    #expect(abs(found.squareRoot() - expected) <= 1e-12 * expected)
  }

  @Test("a large matrix is not compared with itself column by column")
  func automatic() throws {
    let size = LeadingTriples.longestGram + 1
    var noise = SplitMix64(seed: 31)
    let (x, y) = (noise.gaussians(size), noise.gaussians(size))
    let elements = (0..<size * size).map { Float(x[$0 / size] * y[$0 % size]) }
    let triples = try Sample(size, size, elements).triples(nil, limit: 1)
    #expect(triples.method == .krylov)
    let expected = Dense.norm(x) * Dense.norm(y)
    #expect(abs(triples.values[0] - expected) <= 1e-6 * expected)
  }
}
