import Models
import Tensors

/// What stands beside a weight's change: something for a bias or a norm, whole weights.
extension ModuleReader {
  /// - Parameter weight: the module's LoRA, where it has one.
  mutating func readCompanion(_ part: TargetPart, of weight: Target?) throws(TargetFault) {
    if isFrozen(part) {
      frozen.append(
        WholeWeight(name: part.name, key: part.label.hasSuffix("bias") ? key.bias : key, tensor: part.tensor))
      return
    }
    switch part.label {
    case "parameter", "set_weight", "weight", "bias", "base_layer.weight", "base_layer.bias", "modules_to_save.weight",
      "modules_to_save.bias":
      dependents.append(
        DependentTarget(
          name: part.name, key: part.label.hasSuffix("bias") ? key.bias : key, algorithm: .full,
          stored: [(part.label, part.tensor)], alpha: nil, rank: nil, change: Replacement(value: part.tensor),
          isTransposed: false, isOptional: false, inputs: part.tensor.shape.flattened.columns))
    case "lora_B.bias", "lora_up.bias": try addVector(part, key.bias, scale: weight?.scale ?? 1)
    case "diff_b", "b_norm": try addVector(part, key.bias, scale: 1)
    default: try addVector(part, key, scale: 1)
    }
  }

  /// Whether it is what the base has in the module, or what a saved module has under another name too.
  private func isFrozen(_ part: TargetPart) -> Bool {
    switch part.label {
    case "base_layer.weight": parts.contains { !$0.isCompanion }
    case "original_module.weight", "original_module.bias": true
    case "modules_to_save.weight": parts.contains { $0.label == "weight" }
    case "modules_to_save.bias": parts.contains { $0.label == "bias" }
    default: false
    }
  }

  mutating func addVector(_ part: TargetPart, _ key: TargetKey, scale: Double) throws(TargetFault) {
    let tensor = part.tensor
    guard tensor.shape.rank == 1, tensor.elementCount > 0 else {
      throw TargetFault.shape("\(part.label) as a vector", "\(tensor.shape)")
    }
    targets.append(
      Target(
        name: part.name, key: key, kind: .vector,
        up: Tensor(dtype: tensor.dtype, shape: [tensor.elementCount, 1], bytes: tensor.bytes),
        down: Tensor([1], shape: [1, 1], dtype: .f32), mid: nil, names: .init(up: part.name, down: part.name),
        alpha: nil, scale: scale, isTransposed: false, algorithm: part.algorithm ?? .bias,
        stored: [(part.label, tensor)]))
  }
}
