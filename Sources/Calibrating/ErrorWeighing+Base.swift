import Adapters
public import Checkpoints
public import Factoring
import JSON
public import LinearAlgebra
import Tensors

extension ErrorWeighing {
  /// Errors relative to the weights that are changed: 1 ÷ ‖W‖²_F for each target.
  ///
  /// - Parameters:
  ///   - base: what the plan's adapters are used with; the changed weights are read once.
  ///   - threads: how many weights are read at once.
  /// - Returns: also a note for the user about targets without a weight there, which count like the middle one of the others.
  /// - Throws: `CalibrationError.noneFits`.
  public static func relative(
    to base: Checkpoint, for plan: RefactorPlan, threads: Int, progress: WorkProgress? = nil
  ) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let targets = plan.targets
    let energies = try concurrentMap(count: targets.count, threads: threads, progress: progress, workspace: {}) {
      index, _ -> Double? in
      guard let weight = LayerPlaces.weight(of: targets[index], in: base) else { return nil }
      return base.energy(of: weight)
    }
    guard let filled = energies.map({ $0.map { 1 / $0 } }).filled() else {
      throw CalibrationError(.noneFits(where: base.path), path: plan.adapters[0].path)
    }
    let notes =
      filled.missing == 0
      ? []
      : [
        "\(filled.missing) targets have no weight in \(base.path), or one of no finite size: errors there count like the "
          + "middle one of the others"
      ]
    return (
      ErrorWeighing(
        filled.values.map { Measure(factor: $0) }, alike: 0,
        fields: ["weigh_base_files": .array(base.files.map { .string($0.relativePath) })]), notes
    )
  }
}

extension Checkpoint {
  /// ‖W‖²_F of a weight, a stored tensor at a time.
  fileprivate func energy(of weight: NamedWeight) -> Double {
    weight.pieces.reduce(0) { sum, piece in
      let tensor = decodedTensor(weights[piece.stored])
      let rows = Tensor(
        dtype: tensor.dtype, shape: Shape([piece.storedRows.count] + tensor.shape.extents.dropFirst()),
        bytes: tensor.bytes(ofRows: piece.storedRows))
      return sum + rows.doubles().reduce(0) { $0 + $1 * $1 }
    }
  }
}

extension [Double?] {
  /// With the middle one of the others for each that is missing, or is no weight; `nil` where all are.
  func filled() -> (values: [Double], missing: Int)? {
    let usable = map { $0.flatMap { (1e-100...1e100).contains($0) ? $0 : nil } },
      known = usable.compactMap(\.self).sorted()
    guard !known.isEmpty else { return nil }
    let middle = known[known.count / 2]
    return (usable.map { $0 ?? middle }, count - known.count)
  }
}
