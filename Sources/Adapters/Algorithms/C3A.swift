import Tensors

extension StoredAlgorithm {
  /// C³A: square blocks that are circulant, each of one row of numbers.
  ///
  /// ΔW[m·b + k, n·b + j] = w[m, n, (j − k) mod b] ∕ inputs.
  ///
  /// Source: PEFT 0.21 (`tuners/c3a/utils.py`), whose Fourier transforms come to this.
  static let c3a = StoredAlgorithm(algorithm: .c3a, type: "C3A", tensors: ["c3a_kernel"]) {
    parts throws(TargetFault) in
    let kernel = try parts.tensor("c3a_kernel", axes: 3)
    let (height, width, size) = (kernel.shape[0], kernel.shape[1], kernel.shape[2])
    guard FactorShapes.isPossible([height, width, size, size]) else {
      throw TargetFault.shape("a weight of at most \(FactorShapes.mostElements) elements", "\(kernel.shape)")
    }
    let whole = AlgorithmParts.Block(rows: height * size, inputs: width * size) {
      let values = kernel.doubles(), inputs = width * size
      return (0..<height * size * inputs).map { place in
        let (row, column) = (place / inputs, place % inputs)
        let start = (row / size * width + column / size) * size
        return values[start + (column % size - row % size + size) % size] / Double(inputs)
      }
    }
    return StoredChange(weight: .factors(ComposedFactors(whole: whole)), rank: size, inputs: width * size)
  }
}
