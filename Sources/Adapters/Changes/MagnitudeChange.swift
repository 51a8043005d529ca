import Tensors

/// DoRA: the sum of the weight and a delta, with the lengths of its rows or columns set to learned ones.
///
/// With V = W + ΔW at strength 1 and norms over all axes but the kept one: W₁ = m ∕ (‖V‖ + ε) ⊙ V.
///
/// Source: Liu et al. 2024; LyCORIS 4.1.3 (`modules/locon.py`), PEFT 0.21 (`tuners/lora/dora.py`).
struct MagnitudeChange: WeightChange {
  enum Axis: Sendable {
    /// One length for each row.
    case outputs
    /// One length for each input channel.
    case inputs
  }

  /// The delta that the lengths are applied on top of.
  let added: Target
  let magnitude: Tensor
  /// The tensor's name in the file.
  let name: String
  let axis: Axis
  /// Added to norms: LyCORIS has single precision's epsilon there, PEFT nothing.
  let epsilon: Double

  /// - Parameter isPlain: whether the tensor has PEFT's name, which has lengths of rows in whatever shape.
  /// - Returns: `nil` when the lengths fit neither the rows nor the inputs.
  init?(_ magnitude: Tensor, named name: String, on added: Target, isPlain: Bool) {
    let extents = magnitude.shape.extents, count = magnitude.elementCount
    let hasRows = extents.first == added.rows && count == added.rows
    let hasInputs = extents.first == 1 && extents.count >= 2 && extents[1] == added.inputs && count == added.inputs
    guard isPlain ? count == added.rows : hasRows || hasInputs else { return nil }
    (self.magnitude, self.name, self.added) = (magnitude, name, added)
    axis = isPlain || hasRows ? .outputs : .inputs
    epsilon = isPlain ? 0 : Double(Float.ulpOfOne)
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let points = kernel.reduce(1, *), isFlat = added.algorithm != .lora && added.kernel.isEmpty
    let fits =
      rows == added.rows && inputs * points == added.columns
      && (added.kernel.filter { $0 > 1 } == kernel.filter { $0 > 1 } || isFlat)
      && (axis == .outputs || inputs == added.inputs)
    return fits ? nil : misfit("\(added.shape)", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let points = weight.kernel.reduce(1, *), (rows, inputs) = (weight.rows, weight.inputs)
    return ComposedFactors(
      whole: weight.mapping { base in
        let delta = added.product()
        let share = rule == .peft ? strength : 1
        var sum = base
        for i in sum.indices { sum[i] += share * delta[i] }
        let lengths = magnitude.doubles()
        let normed = rule == .comfy && axis == .outputs ? base : sum
        // A1111 takes norms of inputs whatever the lengths are for.
        let normAxis = rule == .a1111 ? .inputs : axis
        let norms = Self.norms(normed, rows: rows, inputs: inputs, points: points, along: normAxis)
        var place = 0
        for row in 0..<rows {
          for input in 0..<inputs {
            let norm = norms[normAxis == .outputs ? row : input] + epsilon
            // A row of zeros stays one.
            let factor = norm > 0 ? lengths[axis == .outputs ? row : input] / norm : 1
            for _ in 0..<points {
              let (old, new) = (base[place], sum[place])
              sum[place] =
                switch rule {
                case .linear, .comfy, .a1111: factor * new - old
                case .lycoris: (new * (strength * (factor - 1) + 1) - old) / strength
                case .peft: (factor * new - old) / strength
                }
              place += 1
            }
          }
        }
        return sum
      })
  }

  /// The lengths of rows, or of input channels.
  static func norms(_ values: [Double], rows: Int, inputs: Int, points: Int, along axis: Axis) -> [Double] {
    var squares = [Double](repeating: 0, count: axis == .outputs ? rows : inputs)
    var place = 0
    for row in 0..<rows {
      for input in 0..<inputs {
        for _ in 0..<points {
          squares[axis == .outputs ? row : input] += values[place] * values[place]
          place += 1
        }
      }
    }
    return squares.map { $0.squareRoot() }
  }
}
