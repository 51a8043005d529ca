import Tensors

extension StoredAlgorithm {
  /// GraLoRA: the weight in k × k blocks with a LoRA of rank r ∕ k each, and beside them a common LoRA.
  ///
  /// Block (j, n) of ΔW, rows j and inputs n, is s·B[j, n]ᵀ·A[n, j]ᵀ, of which A[n] has the columns of all j beside each other, and B[j] the
  /// rows of all n below each other; s = α ∕ (r + the common LoRA's rank).
  ///
  /// Source: PEFT 0.21 (`tuners/gralora/layer.py`).
  static let gralora = StoredAlgorithm(
    algorithm: .gralora, type: "GRALORA",
    tensors: ["gralora_A", "gralora_B", "gralora_A_general.weight", "gralora_B_general.weight"]
  ) { parts throws(TargetFault) in
    let a = try parts.tensor("gralora_A", axes: 3), b = try parts.tensor("gralora_B", axes: 3)
    let (count, width, rank, height) = (a.shape[0], a.shape[1], a.shape[2], b.shape[2])
    guard b.shape[0] == count, b.shape[1] == rank, rank % count == 0 else {
      throw TargetFault.shape("blocks of one count and rank", "\(a.shape) and \(b.shape)")
    }
    let (rows, inputs, own) = (count * height, count * width, rank / count)
    guard FactorShapes.isPossible([rows, inputs]), FactorShapes.isPossible([max(rows, inputs), count * rank]) else {
      throw TargetFault.shape("a weight of at most \(FactorShapes.mostElements) elements", "\(rows) × \(inputs)")
    }
    // A component for each input block n, row block j and rank of theirs.
    var up = AlgorithmParts.Block(rows: rows, inputs: count * rank) {
      let values = b.doubles()
      var result = [Double](repeating: 0, count: rows * count * rank)
      for (j, n, s) in places(count, own) {
        for o in 0..<height {
          result[(j * height + o) * count * rank + (n * count + j) * own + s] =
            values[(j * rank + n * own + s) * height + o]
        }
      }
      return result
    }
    var down = AlgorithmParts.Block(rows: count * rank, inputs: inputs) {
      let values = a.doubles()
      var result = [Double](repeating: 0, count: count * rank * inputs)
      for (j, n, s) in places(count, own) {
        for i in 0..<width {
          result[((n * count + j) * own + s) * inputs + n * width + i] = values[(n * width + i) * rank + j * own + s]
        }
      }
      return result
    }
    var common = 0
    if parts.tensors["gralora_A_general.weight"] != nil || parts.tensors["gralora_B_general.weight"] != nil {
      let pair = try parts.pair(up: "gralora_B_general.weight", down: "gralora_A_general.weight")
      guard pair.up.shape == [rows, pair.up.shape[1]], pair.down.shape == [pair.up.shape[1], inputs] else {
        throw TargetFault.shape("a common LoRA of \(rows) × \(inputs)", "\(pair.up.shape) and \(pair.down.shape)")
      }
      common = pair.up.shape[1]
      (up, down) = (up.beside(.init(pair.up)), down.above(.init(pair.down)))
    }
    return StoredChange(
      weight: .factors(ComposedFactors(product: up, down)), rank: rank + common, alpha: parts.alpha,
      scale: parts.alpha.map { $0 / Double(rank + common) } ?? 1, inputs: inputs)
  }

  /// Row blocks, input blocks and ranks of their LoRAs.
  private static func places(_ count: Int, _ rank: Int) -> [(j: Int, n: Int, s: Int)] {
    (0..<count).flatMap { j in (0..<count).flatMap { n in (0..<rank).map { (j, n, $0) } } }
  }
}
