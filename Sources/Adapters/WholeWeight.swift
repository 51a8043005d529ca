package import Checkpoints
package import Models
package import Tensors

/// A whole weight or bias in an adapter: one that stands in the base's place, or a copy of the base's that PEFT saved beside the
/// factors that belong to it, as it does for tables of words and the output layer.
///
/// Such a copy is what the base has, or what the base was changed to before the training (new words, mostly).
package struct WholeWeight: Sendable {
  /// In the file.
  package let name: String
  package let key: TargetKey
  package let tensor: Tensor

  /// The module's name in the base, with dots.
  package var module: String { Self.module(of: name) }

  /// The module of a tensor with this name.
  package static func module(of name: String) -> String {
    var module = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    while let level = levels.first(where: { module.hasSuffix("." + $0) }) {
      module = module.dropping(suffix: "." + level)
    }
    module = PEFTDialect.unwrapped(module)
    return module
  }

  /// Levels of PEFT's own between a module and its weight.
  static let levels = ["base_layer", "original_module", "modules_to_save", "ln_tuning_layers"]

  /// Whether `weight` of the base holds other numbers.
  ///
  /// - Returns: `nil` where it has another shape.
  package func differs(from weight: NamedWeight, of base: Checkpoint) -> Bool? {
    guard weight.shape == tensor.shape, tensor.dtype.isReadable else { return nil }
    return !tensor.hasSameNumbers(as: weight.assembled(shape: weight.shape, stored: base.storedNumbers))
  }
}

extension Tensor {
  /// Whether another tensor is the same, bit for bit.
  package func hasSameBytes(as other: Tensor) -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    return bytes.withUnsafeBytes { a in other.bytes.withUnsafeBytes { a.elementsEqual($0) } }
  }

  /// Whether another tensor of the same shape holds the same numbers, in whatever format.
  fileprivate func hasSameNumbers(as other: Tensor) -> Bool {
    if dtype == other.dtype { return hasSameBytes(as: other) }
    guard dtype.bits % 8 == 0, other.dtype.bits % 8 == 0 else { return doubles() == other.doubles() }
    // Piece by piece: such tables are the largest weights of a model.
    let step = 1 << 20
    return stride(from: 0, to: elementCount, by: step).allSatisfy { start in
      let range = start..<min(start + step, elementCount)
      return part(range).doubles() == other.part(range).doubles()
    }
  }

  private func part(_ range: Range<Int>) -> Tensor {
    let size = dtype.bits / 8
    return Tensor(
      dtype: dtype, shape: [range.count], bytes: bytes[size * range.lowerBound..<size * range.upperBound])
  }
}
