import LinearAlgebra
import Tensors

/// GLoRA: a low-rank matrix, and the weight itself times another one: ΔW = c·(B + W·A).
///
/// Source: LyCORIS 4.1.3 (`modules/glora.py`); the older order of factors as ComfyUI and A1111 read it.
struct MixingChange: WeightChange {
  typealias Block = ComposedFactors.Block

  /// A = left · right, inputs × rank and rank × inputs.
  let left: Block
  let right: Block
  /// B = up · down, rows × rank and rank × columns.
  let up: Block
  let down: Block
  let scale: Double

  /// The rank that alpha belongs to.
  var rank: Int { left.inputs }

  /// - Throws: the problem with the tensors: one is missing, or shapes disagree.
  init(_ parts: [String: Tensor], alpha: Double?) throws(TargetFault) {
    func block(_ name: String) throws(TargetFault) -> Block {
      guard let tensor = parts[name + ".weight"] else { throw TargetFault.missing(name + ".weight") }
      guard tensor.shape.rank >= 2, tensor.elementCount > 0 else {
        throw TargetFault.shape("\(name).weight as a matrix", "\(tensor.shape)")
      }
      return Block(tensor)
    }
    guard parts["bm.weight"] == nil else { throw TargetFault.shape("no bm.weight", "one") }
    let (a1, a2, b1, b2) = (try block("a1"), try block("a2"), try block("b1"), try block("b2"))
    // Files do not say which order they have. Of square weights both fit, but ranks are smaller than weights.
    let isOld = b2.columns == b1.rows && b1.rows == a1.rows && a1.rows == a2.columns
    let isNew = b2.rows == b1.columns && b1.columns == a1.columns && a1.columns == a2.rows
    guard isOld || isNew else {
      throw TargetFault.shape(
        "equal ranks of all factors",
        ["a1", "a2", "b1", "b2"].map { "\($0) \(parts[$0 + ".weight"]!.shape)" }.joined(separator: ", "))
    }
    let takesOld = isOld && (!isNew || a2.rows >= a2.columns)
    (left, right, up, down) = takesOld ? (a2, a1, b2, b1) : (a1, a2, b1, b2)
    guard left.rows == right.columns, left.columns == right.rows, up.columns == down.rows else {
      throw TargetFault.shape(
        "factors that fit each other", "a \(left.rows) × \(left.columns), \(right.rows) × \(right.columns)")
    }
    scale = alpha.map { $0 / Double(takesOld ? a1.rows : a1.columns) } ?? 1
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let points = kernel.reduce(1, *)
    let fits = rows == up.rows && inputs == left.rows && inputs * points == down.columns
    return fits ? nil : misfit("[\(up.rows), \(left.rows)] with \(down.columns) columns", rows, inputs, kernel)
  }

  func delta(of weight: Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let scale = scale, points = weight.kernel.reduce(1, *)
    let own = Block(rows: up.rows, inputs: up.columns, values: up.values).mapping { $0.map { $0 * scale } }
    let mixed = Block(rows: right.rows, inputs: right.columns, values: right.values)
    let narrow = Block(rows: left.rows, inputs: left.columns, values: left.values).mapping { $0.map { $0 * scale } }
    guard points > 1 else {
      let plain = Block(rows: weight.rows, inputs: weight.inputs, values: weight.values)
      let rows = Block(rows: down.rows, inputs: down.columns, values: down.values)
      return ComposedFactors(up: plain.times(narrow).beside(own), down: mixed.above(rows))
    }
    // Of a convolution the input channels are mixed, point by point.
    let mixing = narrow.times(mixed), (rows, inputs) = (weight.rows, weight.inputs)
    let product = own.times(Block(rows: down.rows, inputs: inputs, kernel: weight.kernel, values: down.values))
    return ComposedFactors(
      whole: weight.mapping { base in
        let (a, b) = (mixing.values(), product.values())
        let turned = base.swappingLastAxes(outer: rows, inputs, points)
        let moved = reproducibleProduct(turned, a, rows: rows * points, rank: inputs, columns: inputs)
          .swappingLastAxes(outer: rows, points, inputs)
        return zip(b, moved).map { $0 + $1 }
      })
  }
}

extension [Double] {
  /// outer × m × n as outer × n × m.
  fileprivate func swappingLastAxes(outer: Int, _ m: Int, _ n: Int) -> [Double] {
    var result = [Double](repeating: 0, count: count)
    for block in 0..<outer {
      for i in 0..<m { for j in 0..<n { result[(block * n + j) * m + i] = self[(block * m + i) * n + j] } }
    }
    return result
  }
}
