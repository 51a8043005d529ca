import LinearAlgebra
import Tensors

/// OFT and BOFT: the weight's rows or columns turned by orthogonal matrices, block by block.
struct RotationChange: WeightChange {
  /// Rotations of neighbouring blocks, or of blocks that an order brings together.
  struct Stage: Sendable {
    let size: Int
    let count: Int
    /// Which row comes to each place before the blocks are turned; they are put back afterwards.
    let order: [Int]?
    /// count × size × size, by the rule (ComfyUI bounds them otherwise).
    let matrices: @Sendable (StrengthRule) -> [Double]
  }

  enum Axis: Sendable {
    case outputs
    /// Input channels and the points of the kernel together.
    case columns
  }

  let stages: [Stage]
  let axis: Axis
  /// Whether it is the transposed matrices that are applied.
  let isTransposed: Bool
  /// Whether convolutions are turned the other way.
  let turnsKernelsBack: Bool
  /// Whether one block is used for all of the axis.
  let isShared: Bool
  /// What rows are multiplied by in the end.
  let lengths: Tensor?

  private var extent: Int { stages[0].size * stages[0].count }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let found = axis == .outputs ? rows : inputs * kernel.reduce(1, *)
    let fits = isShared ? found % stages[0].size == 0 : found == extent
    guard fits, lengths.map({ $0.elementCount == rows }) ?? true else {
      let expected =
        "\(isShared ? "a multiple of \(stages[0].size)" : "\(extent)") \(axis == .outputs ? "rows" : "columns")"
      return misfit(expected, rows, inputs, kernel)
    }
    return nil
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns) = (weight.rows, weight.columns)
    let isTransposed = isTransposed != (turnsKernelsBack && !weight.kernel.isEmpty)
    return ComposedFactors(
      whole: weight.mapping { base in
        var turned = axis == .outputs ? base : base.transposed(rows: rows, columns: columns)
        let width = axis == .outputs ? columns : rows
        for stage in stages {
          turned = apply(stage, isTransposed, to: turned, width: width, strength: strength, rule)
        }
        if axis == .columns { turned = turned.transposed(rows: columns, columns: rows) }
        // ComfyUI reads them for butterflies only.
        if let lengths, rule != .comfy || stages[0].order != nil {
          let factors = lengths.doubles()
          for i in turned.indices { turned[i] *= factors[i / columns] }
        }
        let factor = rule == .lycoris ? 1 / strength : 1
        for i in turned.indices { turned[i] = factor * (turned[i] - base[i]) }
        return turned
      })
  }

  private func apply(
    _ stage: Stage, _ isTransposed: Bool, to values: [Double], width: Int, strength: Double, _ rule: StrengthRule
  ) -> [Double] {
    let size = stage.size, extent = values.count / max(width, 1)
    var matrices = stage.matrices(rule)
    if rule == .lycoris || rule == .comfy {
      for i in matrices.indices {
        matrices[i] = strength * matrices[i] + (i / size % size == i % size ? 1 - strength : 0)
      }
    }
    let order = stage.order ?? Array(0..<extent)
    var result = [Double](repeating: 0, count: values.count)
    var gathered = [Double](repeating: 0, count: size * width)
    for block in 0..<extent / size {
      for row in 0..<size {
        let source = order[block * size + row] * width
        for j in 0..<width { gathered[row * width + j] = values[source + j] }
      }
      let start = (isShared ? 0 : block) * size * size
      var matrix = Array(matrices[start..<start + size * size])
      if isTransposed { matrix = matrix.transposed(rows: size, columns: size) }
      let product = reproducibleProduct(matrix, gathered, rows: size, rank: size, columns: width)
      for row in 0..<size {
        let target = order[block * size + row] * width
        for j in 0..<width { result[target + j] = product[row * width + j] }
      }
    }
    return result
  }
}
