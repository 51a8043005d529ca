import JSON
import Tensors

/// The tensors of a module, by the endings of their names, and what the configuration says of it.
struct AlgorithmParts {
  typealias Block = ComposedFactors.Block

  let tensors: [String: Tensor]
  /// Of the whole file.
  let shared: [String: Tensor]
  let settings: PEFTConfig?
  /// The module's name in the configuration.
  let path: String

  var rank: Int? { settings?.rank(of: path) }
  var alpha: Double? { settings?.alpha(of: path) }

  func text(_ field: String) -> String? { settings?.fields[field]?.string }
  func number(_ field: String) -> Int? { settings?.fields[field]?.double.flatMap { Int(exactly: $0) } }

  /// The tensor called `name`, which must have `axes` axes and elements.
  func tensor(_ name: String, axes: Int) throws(TargetFault) -> Tensor {
    guard let tensor = tensors[name] else { throw TargetFault.missing(name) }
    guard tensor.shape.rank == axes, tensor.elementCount > 0 else {
      throw TargetFault.shape("\(name) with \(axes) \(axes == 1 ? "axis" : "axes")", "\(tensor.shape)")
    }
    return tensor
  }

  /// The tensor called `name` that all modules share.
  func shared(_ name: String, axes: Int) throws(TargetFault) -> Tensor {
    guard let tensor = shared[name] else {
      throw TargetFault.missing("\(name), which PEFT saves unless it is told to make it anew from a seed")
    }
    guard tensor.shape.rank == axes, tensor.elementCount > 0, tensor.dtype.isReadable else {
      throw TargetFault.shape("\(name) with \(axes) axes", "\(tensor.shape)")
    }
    return tensor
  }

  /// Two matrices, up of rows × rank and down of rank × inputs (× kernel), that fit each other.
  func pair(up: String, down: String) throws(TargetFault) -> (up: Tensor, down: Tensor) {
    guard let down = tensors[down] else { throw TargetFault.missing(down) }
    guard let up = tensors[up] else { throw TargetFault.missing(up) }
    if let fault = FactorShapes.fault(up: up.shape, down: down.shape, mid: nil) { throw TargetFault(kind: fault) }
    return (up, down)
  }
}
