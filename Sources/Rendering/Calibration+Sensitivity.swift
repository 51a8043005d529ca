public import Checkpoints
import Kernels
import Models
import Networks
import Sampling
import Tensors

extension Calibration {
  /// A layer of the model, and what an error in its outputs does to the prediction.
  public struct LayerSensitivity: Sendable, Equatable {
    /// Of its weight.
    public let weight: WeightName
    /// Layers of one kind in one part of the network have one value in common.
    public let group: String
    /// Columns of the weight.
    public let inputs: Int
    /// E‖x‖² of a row of what goes into it.
    public let energy: Double
    /// E‖Δε‖² ÷ E‖Δy‖²: of a prediction, for noise in a row of the layer's outputs.
    public let sensitivity: Double
  }

  /// What is being measured, for those who wait.
  public struct SensitivityProgress: Sendable {
    /// Groups that are known.
    public let done: Int
    /// All groups.
    public let total: Int
    /// How long all predictions for one group took, in seconds.
    public let secondsPerGroup: Double
  }

  /// The steps whose predictions are looked at: t is about 800 and 400.
  static let sensitivitySteps = [1, 3]
  /// How large the noise is beside the weight, by Frobenius' norm.
  static let noise = 0.1

  /// Measures how much the prediction feels an error in each layer: noise is added to its weight, and the base predicts
  /// once more. It is a property of the base, whatever adapters are used with it.
  ///
  /// - Parameters:
  ///   - base: the model itself.
  ///   - isEach: whether every layer is measured by itself rather than all layers of a group at once.
  ///   - known: sensitivities of groups (of weights' names, where each is measured) that were measured before.
  ///   - progress: is told the name and the value of what has just been measured.
  /// - Returns: layers in the order in which they run.
  /// - Throws: `PromptError`, `CheckpointError`, `RenderingError` for predictions that are not finite, and what `progress` throws.
  public func sensitivities(
    of base: Checkpoint, isEach: Bool, known: [String: Double] = [:],
    progress: (_ name: String, _ value: Double, SensitivityProgress) throws -> Void = { _, _, _ in }
  ) throws -> [LayerSensitivity] {
    try KernelThread.run {
      let tap = NoiseTap()
      let probe = try SensitivityProbe(self, base, tap)
      let groups = tap.layers.grouped { isEach ? $0.weight.description : LayerKind($0.weight).description }
      var values = known
      for (index, group) in groups.enumerated() where values[group.name] == nil {
        let start = ContinuousClock.now
        let value = try probe.sensitivity(of: group.members)
        values[group.name] = value
        try progress(
          group.name, value,
          .init(done: index + 1, total: groups.count, secondsPerGroup: (ContinuousClock.now - start) / .seconds(1)))
      }
      return groups.flatMap { group in
        group.members.map {
          LayerSensitivity(
            weight: $0.weight, group: group.name, inputs: $0.columns, energy: $0.energy,
            sensitivity: values[group.name]!)
        }
      }
    }
  }
}

/// The base with its samples and what it predicts for them.
private struct SensitivityProbe {
  private let calibration: Calibration
  private let base: Checkpoint
  private let tap: NoiseTap
  private let backends: Backends
  private let reader: any TextModel
  private let denoiser: any Denoiser
  private let samples: [Calibration.Sample]
  private let predictions: [Float]

  init(_ calibration: Calibration, _ base: Checkpoint, _ tap: NoiseTap) throws {
    (self.calibration, self.base, self.tap) = (calibration, base, tap)
    let model = calibration.model, backends = Backends(precision: .f32, threads: calibration.threads)
    self.backends = backends
    let reader = try model.makeTextModel(weights: base, backend: backends.exact, tap: tap)
    let denoiser = try model.makeDenoiser(
      weights: base, backend: backends.main, expecting: model.latents.size(of: calibration.size), tap: tap)
    (self.reader, self.denoiser) = (reader, denoiser)
    samples = try calibration.scenes.flatMap { scene in
      let drawn = try calibration.samples(
        of: scene, text: try reader.features(of: calibration.request(scene)), at: Calibration.sensitivitySteps,
        denoiser: denoiser, pool: backends.pool)
      // Asked without guidance, a prompt is no longer than it is.
      let text = try reader.features(of: TextRequest(prompt: scene.prompt)).prompt
      return drawn.map { Calibration.Sample(text: text, time: $0.time, latent: $0.latent) }
    }
    // The layers that such a question runs through, and what goes into them.
    tap.isRecording = true
    for scene in calibration.scenes { _ = try reader.features(of: TextRequest(prompt: scene.prompt)) }
    predictions = try calibration.predictions(samples, denoiser: denoiser, pool: backends.pool)
    tap.isRecording = false
  }

  func sensitivity(of layers: [NoiseTap.Layer]) throws -> Double {
    var outputs = 0.0
    for layer in layers {
      guard let weight = base.weight(named: layer.weight) else {
        throw CheckpointError(.unknownWeight("\(layer.weight)"), path: base.path)
      }
      let tensor = try base.weight(named: layer.weight, shape: weight.shape)
      let noise = Noise(like: tensor, named: layer.weight.description)
      tap.changes[layer.weight] = noise.tensor
      outputs += noise.energy / Double(layer.columns) * layer.energy
    }
    defer { tap.changes = [:] }
    guard outputs > 0 else { return 0 }
    var samples = samples
    if layers.contains(where: { $0.weight.component.isTextEncoder }) {
      let texts = try calibration.scenes.map { try reader.features(of: TextRequest(prompt: $0.prompt)).prompt }
      let steps = Calibration.sensitivitySteps.count
      for index in samples.indices { samples[index].text = texts[index / steps] }
    }
    let changed = try calibration.predictions(samples, denoiser: denoiser, pool: backends.pool)
    let response = zip(predictions, changed).reduce(0.0) { sum, pair in
      let difference = Double(pair.0) - Double(pair.1)
      return sum + difference * difference
    }
    return response / outputs / Double(samples.count)
  }
}

/// Noise in the shape of a weight, told by the weight's name.
private struct Noise {
  let tensor: Tensor
  /// ‖·‖²_F
  let energy: Double

  init(like weight: Tensor, named name: String) {
    let size = weight.doubles().reduce(0) { $0 + $1 * $1 }.squareRoot() * Calibration.noise
    var source = PhiloxNoise(seed: name.stableHash)
    let values = source.normals(count: weight.elementCount).map(Double.init)
    let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    energy = size * size
    tensor = Tensor(values.map { $0 * size / length }, shape: weight.shape, dtype: .f32)
  }
}

/// Adds noise to weights, and records which layers there are.
private final class NoiseTap: LayerTap {
  struct Layer {
    let weight: WeightName
    let columns: Int
    var energySum = 0.0
    var rows = 0
    var energy: Double { rows > 0 ? energySum / Double(rows) : 0 }
  }

  var changes: [WeightName: Tensor] = [:]
  var isRecording = false
  private(set) var layers: [Layer] = []
  private var places: [WeightName: Int] = [:]

  func willCompute(_ weights: [WeightName], on inputs: LayerInputs) {
    guard isRecording else { return }
    var energy = 0.0
    inputs.forEachPart { rows in energy += rows.reduce(0) { $0 + $1 * $1 } }
    for weight in weights {
      let place = places[weight] ?? layers.count
      if place == layers.count {
        places[weight] = place
        layers.append(Layer(weight: weight, columns: inputs.columns))
      }
      layers[place].energySum += energy
      layers[place].rows += inputs.count
    }
  }

  func change(of weight: WeightName) -> Tensor? { changes[weight] }
}

/// What a layer is and where: `denoiser up_blocks.2 attentions.transformer_blocks.attn1.to_q`, `textEncoder1 layers 0 to 3
/// self_attn.out_proj`.
private struct LayerKind: CustomStringConvertible {
  let description: String

  /// Layers of a text encoder that are much alike: so many beside each other have one value.
  private static let layersOfText = 4

  init(_ weight: WeightName) {
    let parts = weight.path.split(separator: ".").dropLast()
    let number = parts.firstIndex { $0.allSatisfy(\.isNumber) }
    let kind = parts[(number.map { $0 + 1 } ?? 0)...].filter { !$0.allSatisfy(\.isNumber) }.joined(separator: ".")
    var place = number.map { parts[...$0].joined(separator: ".") } ?? ""
    if weight.component.isTextEncoder, let number, let layer = Int(parts[number]) {
      let first = layer / Self.layersOfText * Self.layersOfText
      place = "layers \(first) to \(first + Self.layersOfText - 1)"
    }
    description = [weight.component.rawValue, place, kind].filter { !$0.isEmpty }.joined(separator: " ")
  }
}

extension Sequence where Element == NoiseTap.Layer {
  /// By a name, in the order of first members.
  fileprivate func grouped(by name: (Element) -> String) -> [(name: String, members: [Element])] {
    var groups: [(name: String, members: [Element])] = [], places: [String: Int] = [:]
    for element in self {
      let key = name(element)
      if let place = places[key] {
        groups[place].members.append(element)
      } else {
        places[key] = groups.count
        groups.append((key, [element]))
      }
    }
    return groups
  }
}
