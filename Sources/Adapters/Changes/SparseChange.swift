import LinearAlgebra
import Tensors

/// Numbers that are added to single elements of a weight, with a LoRA where the file has one.
struct SparseChange: WeightChange {
  let values: Tensor
  /// Rows and columns, or places counted through row by row.
  let places: Tensor
  var product: (up: Tensor, down: Tensor, scale: Double)?

  /// - Throws: the problem with places that are none.
  init(values: Tensor, places: Tensor) throws(TargetFault) {
    (self.values, self.places) = (values, places)
    guard places.doubles().allSatisfy({ $0 >= 0 && $0 < 0x1p40 && $0 == $0.rounded() }) else {
      throw TargetFault.shape("places that are counted from 0", "others")
    }
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let found = places.doubles().map { Int($0) }, columns = inputs * kernel.reduce(1, *)
    let fits: Bool
    if places.shape.rank == 2 {
      fits =
        found.prefix(values.elementCount).allSatisfy { $0 < rows }
        && found.dropFirst(values.elementCount).allSatisfy { $0 < columns }
    } else {
      fits = found.allSatisfy { $0 < rows * columns }
    }
    guard fits, product.map({ $0.up.shape[0] == rows && $0.down.shape[1] == columns }) ?? true else {
      return misfit("a weight that has all of the places", rows, inputs, kernel)
    }
    return nil
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns) = (weight.rows, weight.columns)
    return ComposedFactors(
      whole: .init(rows: weight.rows, inputs: weight.inputs, kernel: weight.kernel) {
        let numbers = values.doubles(), found = places.doubles().map { Int($0) }
        var result =
          product.map { pair in
            reproducibleProduct(
              pair.up.doubles(), pair.down.doubles(), rows: rows, rank: pair.up.shape[1], columns: columns
            ).map { pair.scale * $0 }
          } ?? [Double](repeating: 0, count: rows * columns)
        for (index, number) in numbers.enumerated() {
          let place = places.shape.rank == 2 ? found[index] * columns + found[numbers.count + index] : found[index]
          result[place] += number
        }
        return result
      })
  }
}
