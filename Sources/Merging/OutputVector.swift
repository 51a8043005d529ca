import Adapters
import Spectra
import Tensors

/// A bias or a norm's weight of the adapter to be written: the weighted sum of the inputs' vectors, kept whole.
struct OutputVector: Sendable {
  let name: String
  let terms: [DeltaSum.Term]
  let dtype: DType

  /// The numbers, each of which is rounded once.
  var tensor: Tensor {
    let count = terms[0].target.rows
    var sum = [Double](repeating: 0, count: count)
    for term in terms {
      let factor = term.strength * term.target.scale
      for (place, value) in (term.target.whole ?? term.target.up).doubles().enumerated() {
        sum[place] += factor * value
      }
    }
    return Tensor(sum, shape: [count], dtype: dtype)
  }
}

extension RefactorPlan {
  /// The vectors of the output, from groups of the inputs' own.
  ///
  /// - Throws: `MergingError.noName` where the format has no name for them.
  static func vectors(
    _ groups: [TargetPairing.Group], _ adapters: [Adapter], _ recipe: RefactorRecipe, _ naming: MergeNames
  ) throws -> [OutputVector] {
    try groups.map { group in
      let first = group.members[0].target
      let terms = group.members.map { index, target in
        DeltaSum.Term(target, of: adapters[index].path, strength: recipe.inputs[index].strength(for: target.key))
      }
      _ = try DeltaSum(terms)
      // A resize spells nothing anew.
      let isKept = recipe.operation == .resize && first.whole == nil && first.stored.first?.label != "lora_up.bias"
      guard let name = isKept ? first.name : try naming.vectorName(for: group) else {
        throw MergingError(
          .noName(target: first.name, format: naming.format), path: adapters[group.members[0].adapter].path)
      }
      let dtypes = Set(group.members.map(\.target.dtype))
      let isPlain = dtypes.count == 1 && dtypes.first!.unitRoundoff != nil && dtypes.first!.bits > 8
      return OutputVector(name: name, terms: terms, dtype: isPlain && first.whole == nil ? dtypes.first! : .f32)
    }
  }
}

extension OutputNaming {
  /// A vector's tensor name.
  ///
  /// - Returns: `nil` where the format has no such tensors.
  ///
  /// - Parameters:
  ///   - dottedPath: the module's name in the base, where it is known with dots.
  ///   - isOwn: whether the format is that of the target's own file, whose name will do.
  func vectorName(for key: TargetKey, like target: Target, dottedPath: String?, isOwn: Bool) -> String? {
    let label = target.stored.first?.label ?? ""
    switch format {
    case .peft, .diffusers:
      // Outputs carry no alpha there, so that the scale of such a bias is 1.
      return label == "lora_B.bias" && isOwn ? target.name : nil
    case .kohya, .native:
      let isKept = ["diff", "diff_b", "w_norm", "b_norm"].contains(label)
      let module = names(for: TargetKey(key.component, key.path), dottedPath: dottedPath)?.module
      return module.map { $0 + "." + (isKept ? label : key.parameter == .bias ? "diff_b" : "diff") }
    case .xlabs, .cloneofsimo: return nil
    }
  }
}
