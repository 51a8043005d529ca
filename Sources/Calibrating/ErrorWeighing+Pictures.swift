import Adapters
public import Baking
import Checkpoints
public import Factoring
import Files
import JSON
import LinearAlgebra
import Models
public import Rendering
import Spectra

extension ErrorWeighing {
  /// Errors by what they do to pictures: for the inputs that layers have while the adapters draw, and by how much the base feels
  /// an error there.
  ///
  /// The square root of the sensitivity counts: an error of one prediction counts less in deep blocks once it has run through all
  /// steps.
  ///
  /// - Parameters:
  ///   - stack: the plan's adapters at the plan's strengths, on the base.
  ///   - calibration: what is drawn with them.
  ///   - table: of the base, or of one that is built alike.
  ///   - progress: called with the number of scenes that are drawn.
  /// - Returns: also notes for the user about targets that nothing went through.
  /// - Throws: `CalibrationError`, and what drawing throws.
  public static func pictures(
    _ plan: RefactorPlan, drawing calibration: Calibration, with stack: Stack, _ table: SensitivityTable,
    progress: (Int) throws -> Void = { _ in }
  ) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let targets = plan.targets, base = stack.base
    let places = LayerPlaces(
      base,
      layers: Component.allCases.flatMap { component in base.names(of: component).map { WeightName(component, $0) } })
    var targetsOfLayer: [WeightName: [Int]] = [:]
    // Parts of one projection have the same inputs: one of them is enough.
    for (index, target) in targets.enumerated() {
      if let layer = places.layers(of: target).first { targetsOfLayer[layer, default: []].append(index) }
    }
    guard !targetsOfLayer.isEmpty else {
      throw CalibrationError(.noneFits(where: base.path), path: plan.adapters[0].path)
    }
    var moments = targets.map { InputMoments(components: $0.delta.componentCount) }
    let workspace = FactorWorkspace()
    try calibration.visitInputs(with: stack.weights, progress: progress) { inputs in
      for layer in inputs.weights {
        for index in targetsOfLayer[layer] ?? [] where targets[index].delta.columns == inputs.columns {
          targets[index].delta.load(into: workspace)
          inputs.forEachPart { moments[index].add($0, down: UnsafeBufferPointer(workspace.down)) }
        }
      }
    }
    let sensitivities = Sensitivities(table)
    let known = targets.map { target in
      sensitivities.value(for: places.layers(of: target).map { SensitivityTable.name(of: $0) })
    }
    guard let factors = known.map({ $0?.squareRoot() }).filled() else {
      throw CalibrationError(.noneFits(where: "the table of sensitivities"), path: plan.adapters[0].path)
    }
    let unseen = moments.count { $0.count == 0 }
    var notes: [String] = []
    if unseen > 0 {
      notes.append("\(unseen) targets were not reached while drawing: errors there count by their size in the weights")
    }
    if factors.missing > 0 {
      notes.append("\(factors.missing) targets have no known sensitivity: they count like the middle one of the others")
    }
    let prompts = calibration.scenes.count
    return (
      ErrorWeighing(
        zip(factors.values, moments).map { Measure(factor: $0, moments: $1.count > 0 ? $1.mean : nil) },
        alike: max(0.03, 0.3 / Double(prompts)),
        fields: [
          "weigh_prompts": .int(prompts), "weigh_seeds": .array(calibration.scenes.map { .unsigned($0.seed) }),
          "weigh_cfg": .number(Double(calibration.guidance.scale)),
          "weigh_base": .array(table.base.map { .string($0.contentSha256) }),
          "weigh_sensitivity": .string(table.hash),
        ]), notes
    )
  }

  /// The same without a base: by a table of sensitivities alone, which knows the energy of inputs but not their directions.
  ///
  /// - Throws: `CalibrationError.noneFits`.
  public static func sensitivities(
    _ plan: RefactorPlan, _ table: SensitivityTable
  ) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let sensitivities = Sensitivities(table)
    let known = plan.targets.map { sensitivities.response(for: $0) }
    guard let factors = known.map({ $0?.squareRoot() }).filled() else {
      throw CalibrationError(.noneFits(where: "the table of sensitivities"), path: plan.adapters[0].path)
    }
    let notes =
      factors.missing == 0
      ? []
      : ["\(factors.missing) targets have no known sensitivity: they count like the middle one of the others"]
    return (
      ErrorWeighing(
        factors.values.map { Measure(factor: $0) }, alike: 0,
        fields: ["weigh_sensitivity": .string(table.hash)]), notes
    )
  }
}

/// The values of a table by the names of layers.
private struct Sensitivities {
  private let layers: [String: SensitivityTable.Layer]
  /// With underscores for dots, as targets' keys have them.
  private let flat: [String: SensitivityTable.Layer]
  /// What stands for a layer that nothing is felt of.
  private let least: Double

  init(_ table: SensitivityTable) {
    layers = Dictionary(table.layers.map { ($0.layer, $0) }) { first, _ in first }
    flat = Dictionary(table.layers.map { ($0.layer.replacing(".", with: "_"), $0) }) { first, _ in first }
    least = (table.layers.map(\.sensitivity).filter { $0 > 0 }.min() ?? 1) * 1e-3
  }

  /// The mean of what layers have that one target changes.
  func value(for names: [String]) -> Double? {
    let values = names.compactMap { layers[$0] }.map { max($0.sensitivity, least) }
    return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }

  /// E‖Δε‖² ÷ ‖ΔW‖²_F, for a change of the weight in no special direction.
  func response(for target: OutputTarget) -> Double? {
    let names = target.delta.terms.map { "\($0.target.key.component.rawValue)_\($0.target.key.path)" }
    return names.lazy.compactMap { flat[$0] }.first.map {
      max($0.sensitivity, least) * $0.inputEnergy / Double($0.inputs)
    }
  }
}

extension SensitivityTable {
  /// SHA-256 of what it says.
  var hash: String { (try? jsonText()).map { ContentHash.sha256(Array($0.utf8).withUnsafeBytes { $0 }) } ?? "" }
}
