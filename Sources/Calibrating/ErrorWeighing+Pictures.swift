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
import Tensors

extension ErrorWeighing {
  /// What the moments of all targets may take of memory, in bytes.
  private static let momentBudget = 2 << 30

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
  ///   - hashes: SHA-256 of the base's files, for the output's recipe.
  ///   - progress: called with the number of scenes that are drawn.
  /// - Returns: also notes for the user about targets that nothing went through.
  /// - Throws: `CalibrationError`, and what drawing throws.
  public static func pictures(
    _ plan: RefactorPlan, drawing calibration: Calibration, with stack: Stack, _ table: SensitivityTable,
    hashes: [String], progress: (Int) throws -> Void = { _ in }
  ) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let targets = plan.targets, base = stack.base
    // A picture that is not a number says nothing about which of them is to blame.
    for target in targets { try target.delta.requireFinite() }
    let places = LayerPlaces(
      base,
      layers: Component.allCases.flatMap { component in base.names(of: component).map { WeightName(component, $0) } })
    let layers = targets.map { places.layers(of: $0) }
    var targetsOfLayer: [WeightName: [Int]] = [:], moments: [Int: InputMoments] = [:], memory = 0
    for (index, target) in targets.enumerated() {
      // Whole matrices have so many components that their moments would take more memory than the model.
      let bytes = 8 * target.delta.componentCount * target.delta.componentCount
      guard memory + bytes <= momentBudget, let layer = layers[index].first else { continue }
      memory += bytes
      moments[index] = InputMoments(components: target.delta.componentCount)
      // Parts of one projection have the same inputs: one of them is enough.
      targetsOfLayer[layer, default: []].append(index)
    }
    guard !targetsOfLayer.isEmpty else {
      throw CalibrationError(.noneFits(where: base.path), path: plan.adapters[0].path)
    }
    let workspace = FactorWorkspace()
    try calibration.visitInputs(with: stack.weights, progress: progress) { inputs in
      for layer in inputs.weights {
        for index in targetsOfLayer[layer] ?? [] where targets[index].delta.columns == inputs.columns {
          targets[index].delta.load(into: workspace)
          inputs.forEachPart { moments[index]?.add($0, down: UnsafeBufferPointer(workspace.down)) }
        }
      }
    }
    let sensitivities = Sensitivities(table)
    let names = layers.map { $0.map { SensitivityTable.name(of: $0) } }
    // Each sum goes when its mean is there.
    let seen = targets.indices.map { index in
      moments.removeValue(forKey: index).flatMap { $0.count > 0 ? $0.mean : nil }
    }
    let unseen = seen.count { $0 == nil }
    let wanted = targets.indices.map { index in
      // In the units of the others: outputs for inputs of the usual strength.
      sensitivities.value(for: names[index]).map {
        $0.squareRoot() * (seen[index] == nil ? sensitivities.meanSquare(of: names[index]) : 1)
      }
    }
    guard let factors = wanted.filled() else {
      throw CalibrationError(.noneFits(where: "the table of sensitivities"), path: plan.adapters[0].path)
    }
    var notes: [String] = []
    if unseen > 0 {
      notes.append(
        "\(unseen) targets were not looked at while drawing (nothing goes through them, or they have too many components): "
          + "errors there count by their size in the weights")
    }
    if factors.missing > 0 {
      notes.append("\(factors.missing) targets have no known sensitivity: they count like the middle one of the others")
    }
    let prompts = calibration.scenes.count
    return (
      ErrorWeighing(
        zip(factors.values, seen).map { Measure(factor: $0, moments: $1) },
        alike: max(0.03, 0.3 / Double(prompts)),
        fields: [
          "weigh_prompts": .int(prompts), "weigh_seeds": .array(calibration.scenes.map { .unsigned($0.seed) }),
          "weigh_cfg": .number(Double(calibration.guidance.scale)),
          "weigh_base": .array(hashes.map { .string($0) }), "weigh_sensitivity": .string(try table.hash),
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
        fields: ["weigh_sensitivity": .string(try table.hash)]), notes
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
  private let middleSquare: Double

  init(_ table: SensitivityTable) {
    let squares = table.layers.map { $0.inputEnergy / Double($0.inputs) }.filter { $0 > 0 }.sorted()
    middleSquare = squares.isEmpty ? 1 : squares[squares.count / 2]
    layers = Dictionary(table.layers.map { ($0.layer, $0) }) { first, _ in first }
    flat = Dictionary(table.layers.map { ($0.layer.replacing(".", with: "_"), $0) }) { first, _ in first }
    least = (table.layers.map(\.sensitivity).filter { $0 > 0 }.min() ?? 1) * 1e-3
  }

  /// The mean of what layers have that one target changes.
  func value(for names: [String]) -> Double? {
    let values = names.compactMap { layers[$0] }.map { max($0.sensitivity, least) }
    return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }

  /// How large the numbers are that go into layers, squared: of the middle one where none is known.
  func meanSquare(of names: [String]) -> Double {
    let own = names.lazy.compactMap { self.layers[$0] }.first
    return own.map { max($0.inputEnergy, .leastNormalMagnitude) / Double($0.inputs) } ?? middleSquare
  }

  /// E‖Δε‖² ÷ ‖ΔW‖²_F, for a change of the weight in no special direction.
  func response(for target: OutputTarget) -> Double? {
    let names = target.delta.terms.map { term in
      let key = term.target.key
      return "\(key.component.rawValue)_"
        + (key.component.isTextEncoder ? TargetKey.belowTextModel(key.path) : key.path)
    }
    return names.lazy.compactMap { flat[$0] }.first.map {
      max($0.sensitivity, least) * $0.inputEnergy / Double($0.inputs)
    }
  }
}

extension SensitivityTable {
  /// SHA-256 of what it says.
  var hash: String { get throws { ContentHash.sha256(Bytes(copying: Array(try jsonText().utf8))) } }
}
