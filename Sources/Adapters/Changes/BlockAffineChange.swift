import LinearAlgebra
import Tensors

/// MiSS as Bat: the weight in square blocks, each becoming itself times a matrix of its block row, plus that matrix.
///
/// ΔW[O, I] = W[O, I]·M[O] + M[O].
struct BlockAffineChange: WeightChange {
  /// block rows × size × size.
  let blocks: Tensor

  private var size: Int { blocks.shape[2] }

  /// - Throws: the problem with the tensor.
  init(blocks: Tensor) throws(TargetFault) {
    guard blocks.shape.rank == 3, blocks.shape[1] == blocks.shape[2], blocks.elementCount > 0 else {
      throw TargetFault.shape("miss_block of square matrices", "\(blocks.shape)")
    }
    self.blocks = blocks
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let fits = rows == blocks.shape[0] * size && inputs % size == 0 && kernel.allSatisfy { $0 == 1 }
    return fits
      ? nil : misfit("\(blocks.shape[0] * size) rows and a multiple of \(size) inputs", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (size, columns, blocks) = (size, weight.inputs, blocks)
    return ComposedFactors(
      whole: weight.mapping { base in
        let matrices = blocks.doubles(), count = columns / size
        var result: [Double] = []
        result.reserveCapacity(base.count)
        for start in stride(from: 0, to: matrices.count, by: size * size) {
          let matrix = Array(matrices[start..<start + size * size]), first = start / size * columns
          // The pieces of each row stand one below the other already.
          let own = Array(base[first..<first + size * columns])
          let product = reproducibleProduct(own, matrix, rows: size * count, rank: size, columns: size)
          for row in 0..<size {
            for column in 0..<columns {
              result.append(product[row * columns + column] + matrix[row * size + column % size])
            }
          }
        }
        return result
      })
  }
}
