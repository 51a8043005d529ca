import Checkpoints
import Images
import Kernels
import Rendering

/// The engine as an audit uses it: each set of weights is loaded once for all that is asked of it.
///
/// The denoiser of a set answers the probe and then renders all scenes; prompts are read once for all sets that leave the text
/// encoders alone; and pictures are made of all latents together, by one decoder where the autoencoder is the same.
struct AuditEngine: Sendable {
  /// How everything is rendered, but for harmless changes.
  let rendering: AuditRendering
  /// Of the probe, and of all pictures.
  let scenes: [AuditScene]
  /// Where answers are kept; `nil` for nowhere.
  let cache: AuditCache?
  /// What prompts say to the base.
  private let texts = SharedTexts()

  init(_ rendering: AuditRendering, scenes: [AuditScene], cache: AuditCache? = nil) {
    (self.rendering, self.scenes, self.cache) = (rendering, scenes, cache)
  }

  /// Asks about one set of weights.
  ///
  /// - Parameters:
  ///   - null: the harmless change of the arithmetic, if there is one.
  ///   - isProbed: whether the denoiser is asked about the same noisy latents as all others.
  ///   - scenes: what is rendered, at the strength that the weights have.
  ///   - isKept: whether the answer may come from the cache, and is kept there.
  /// - Throws: what the engine and `progress` throw.
  func answer(
    of weights: any AuditVariant, null: NullKind? = nil, isProbed: Bool, scenes: [AuditScene],
    isKept: Bool = false, progress: (Renderer.Progress?) throws -> Void = { _ in }
  ) throws -> AuditAnswer {
    try Task.checkCancellation()
    let rendering = null.map { self.rendering.with($0) } ?? self.rendering
    let probe = isProbed ? rendering.probe(self.scenes) : nil
    let cache = isKept ? cache : nil
    let key = try cache.map {
      AuditKey(of: try weights.facts($0.hashes), rendering, null: null, probe: probe, scenes: scenes)
    }
    if let cache, let key, let known = cache.answer(for: key) { return known }
    let loaded = LoadedModel(
      rendering.model, weights: weights, texts: weights.leavesTexts ? texts : SharedTexts(),
      precision: rendering.precision, threads: rendering.threads)
    let requests = scenes.map { rendering.request($0) }
    var answer = AuditAnswer(scenes: scenes)
    // The probe tells nothing of itself.
    if probe != nil { try progress(nil) }
    try loaded.readTexts(of: requests, and: probe) { if probe == nil { try progress($0) } }
    if let probe { answer.predictions = try probe.predictions(with: loaded) }
    if !requests.isEmpty {
      let rendered = try Renderer(loaded).latents(of: requests) { try progress($0) }
      (answer.latents, answer.secondsPerStep) = (rendered.latents, rendered.secondsPerStep)
    }
    if let cache, let key { cache.keep(answer, for: key) }
    return answer
  }

  /// Makes pictures of what runs ended with.
  ///
  /// - Parameter parts: of each run some shots that it has rendered.
  /// - Returns: for each part the pictures of its shots.
  /// - Throws: what the decoder and `progress` throw.
  func pictures(
    of parts: [(run: AuditRun, shots: [AuditShot])], progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> [[RGBImage]] {
    var images = parts.map { [RGBImage?](repeating: nil, count: $0.shots.count) }
    var shared: [MapSize: [(part: Int, place: Int)]] = [:]
    func decode(_ items: [(part: Int, place: Int)], _ weights: any AuditVariant) throws {
      try Task.checkCancellation()
      let latents = items.map { item in
        let shot = parts[item.part].shots[item.place]
        return (values: parts[item.part].run.latents(of: shot), size: shot.scene.size)
      }
      let made = try rendering.model.pictures(
        of: latents, weights: weights, autoencoder: rendering.autoencoder, threads: rendering.threads,
        progress: progress)
      for (item, image) in zip(items, made) { images[item.part][item.place] = image }
    }
    var isOwn = false
    if case .own = rendering.autoencoder { isOwn = true }
    for (part, (run, shots)) in parts.enumerated() {
      for strength in Set(shots.map(\.strength)).sorted() {
        let items = shots.indices.filter { shots[$0].strength == strength }.map { (part: part, place: $0) }
        let weights = run.weights(strength)
        if isOwn, !weights.leaves(.vae) {
          try decode(items, weights)
        } else {
          // Kernels are chosen by the largest picture that is made together with others.
          let largest = items.map { shots[$0.place].scene.size }.max { $0.area < $1.area }!
          shared[largest, default: []] += items
        }
      }
    }
    for items in shared.sorted(by: { ($0.key.area, $0.key.width) < ($1.key.area, $1.key.width) }).map(\.value) {
      let first = parts[items[0].part]
      try decode(items, first.run.weights(first.shots[items[0].place].strength))
    }
    return images.map { $0.map { $0! } }
  }
}

/// What came of one set of weights.
struct AuditAnswer {
  /// What was rendered.
  let scenes: [AuditScene]
  /// For each prompt of the probe one list for each of its times; empty where it was not asked.
  var predictions: [[[Float]]] = []
  /// What the scenes end with, channels × height × width each.
  var latents: [[Float]] = []
  /// Of an answer that was reused nobody knows it: 0.
  var secondsPerStep = 0.0
  /// Whether it comes from an earlier audit.
  var isReused = false
}

/// What came of a side at all its strengths.
struct AuditRun {
  /// Of each strength.
  let weights: (Double) -> any AuditVariant
  /// How many were rendered.
  let pictureCount: Int
  private let answers: [Double: AuditAnswer]

  /// Asks about all shots, those of one strength together, and probes the side as it is.
  ///
  /// - Parameters:
  ///   - isProbed: whether they are.
  ///   - weights: of each strength; of 1 those that are probed.
  ///   - isKept: whether answers may come from the cache, and are kept there.
  /// - Throws: what the engine and `progress` throw.
  init(
    _ shots: [AuditShot], isProbed: Bool = false, null: NullKind? = nil, engine: AuditEngine,
    with weights: @escaping (Double) -> any AuditVariant, isKept: Bool = false,
    progress: (_ strength: Double, Renderer.Progress?) throws -> Void = { _, _ in }
  ) throws {
    var answers: [Double: AuditAnswer] = [:]
    for strength in Set(shots.map(\.strength) + (isProbed ? [1] : [])).sorted() {
      answers[strength] = try engine.answer(
        of: weights(strength), null: null, isProbed: isProbed && strength == 1,
        scenes: shots.filter { $0.strength == strength }.map(\.scene), isKept: isKept
      ) { try progress(strength, $0) }
    }
    (self.weights, self.answers, pictureCount) = (weights, answers, shots.count)
  }

  /// Asks about the base, to which no strength adds anything: each picture once.
  ///
  /// - Throws: what the engine and `progress` throw.
  init(
    base: Checkpoint, _ shots: [AuditShot], isProbed: Bool = false, engine: AuditEngine,
    progress: (Renderer.Progress?) throws -> Void = { _ in }
  ) throws {
    var scenes: [AuditScene] = []
    for shot in shots where !scenes.contains(where: { $0.isSamePicture(as: shot.scene) }) { scenes.append(shot.scene) }
    let answer = try engine.answer(
      of: base, isProbed: isProbed, scenes: scenes, isKept: true, progress: progress)
    answers = Dictionary(shots.map { ($0.strength, answer) } + [(1, answer)], uniquingKeysWith: { first, _ in first })
    (weights, pictureCount) = ({ _ in base }, scenes.count)
  }

  /// What the probe found.
  ///
  /// - Precondition: it was asked.
  var predictions: [[[Float]]] { answers[1]!.predictions }

  /// Whether all of it comes from earlier audits.
  var isReused: Bool { answers.values.allSatisfy(\.isReused) }

  /// What a shot ended with.
  ///
  /// - Precondition: it was rendered.
  func latents(of shot: AuditShot) -> [Float] {
    let answer = answers[shot.strength]!
    return answer.latents[answer.scenes.firstIndex { $0.isSamePicture(as: shot.scene) }!]
  }

  /// The mean over all pictures.
  var secondsPerStep: Double {
    answers.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value.secondsPerStep * Double($1.value.latents.count) }
      / Double(max(pictureCount, 1))
  }
}
