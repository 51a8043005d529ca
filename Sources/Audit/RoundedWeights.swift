import Checkpoints
import Models
import Tensors

/// Weights of a side rounded to a number format: what everybody runs who loads a model with 16 bits. What the base stores as codes
/// becomes codes again where something is added.
struct RoundedWeights: AuditVariant {
  let source: AuditSide
  let format: DType

  /// Rounding changes nothing that is stored in the format.
  func leaves(_ component: Component) -> Bool {
    source.leaves(component)
      && source.base.weights(of: component).allSatisfy {
        $0.entry.dtype == format || $0.entry.dtype.unitRoundoff == nil
      }
  }

  func facts(_ hashes: KnownHashes) throws -> [String] { try source.facts(hashes) + ["rounded to \(format.rawValue)"] }

  func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    if let stored = try source.weightInOwnCodes(named: name, shape: shape) { return stored }
    let exact = try source.weight(named: name, shape: shape)
    guard let rounding = SumRounding(format), exact.dtype != format, exact.dtype.unitRoundoff != nil else {
      return exact
    }
    let numbers = exact.floats(), nothing = [Float](repeating: 0, count: numbers.count)
    return Tensor(
      dtype: format, shape: shape,
      bytes: Bytes(count: numbers.count * format.bits / 8) { target in
        var unused = Survival()
        rounding.roundNearest(
          base: numbers, delta: nothing, count: numbers.count, into: target.baseAddress!, counting: &unused)
      })
  }
}
