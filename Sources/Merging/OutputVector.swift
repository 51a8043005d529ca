import Adapters
import Factoring
import Models
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

extension OutputVector {
  /// What the user should know of them.
  static func warnings(about vectors: [OutputVector]) -> [String] {
    vectors.isEmpty ? [] : ["\(vectors.count) biases and weights of norms are kept whole"]
  }

  /// The vectors of the output, from groups of the inputs' own.
  ///
  /// - Parameter keepsNames: whether they are spelled as they were, where that is a name that stands for itself.
  /// - Throws: `FactoringError` where the format has no name for them.
  static func all(
    _ groups: [TargetPairing.Group], _ adapters: [Adapter], _ recipe: RefactorRecipe, _ naming: MergeNames,
    keepsNames: Bool
  ) throws -> [OutputVector] {
    try groups.filter { $0.members[0].target.kind == .vector }.map { group in
      let first = group.members[0].target
      let terms = group.members.map { index, target in
        DeltaSum.Term(target, of: adapters[index].path, strength: recipe.inputs[index].strength(for: target.key))
      }
      _ = try DeltaSum(terms)
      let isKept = keepsNames && first.whole == nil && first.stored.first?.label != "lora_up.bias"
      guard let name = isKept ? first.name : try naming.vectorName(for: group) else {
        throw FactoringError(
          keepsNames
            ? .noNameToKeep(target: first.name, format: naming.format)
            : .noName(target: first.name, format: naming.format),
          path: adapters[group.members[0].adapter].path)
      }
      let dtypes = Set(group.members.map(\.target.dtype))
      let isPlain = dtypes.count == 1 && dtypes.first!.unitRoundoff != nil && dtypes.first!.bits > 8
      return OutputVector(name: name, terms: terms, dtype: isPlain && first.whole == nil ? dtypes.first! : .f32)
    }
  }
}
