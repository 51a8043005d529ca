import Checkpoints
public import Images
public import Kernels
public import Rendering
import Tensors

/// How pictures are made for an audit.
public struct AuditRendering: Sendable {
  /// The base's, whose networks get the weights of either side.
  public var model: PictureModel
  /// What makes pictures of latents: the model's own, or another.
  public var autoencoder: AutoencoderSource
  /// Of all pictures; prompt, seed and size are each scene's own.
  public var request: RenderRequest
  /// Of the denoiser's products.
  public var precision: Precision
  /// How many threads the engine works with.
  public var threads: Int

  /// - Parameter request: its prompt, negative prompt, seed and size are replaced by each scene's.
  public init(
    model: PictureModel, autoencoder: AutoencoderSource = .own, request: RenderRequest, precision: Precision,
    threads: Int
  ) {
    (self.model, self.autoencoder, self.request) = (model, autoencoder, request)
    (self.precision, self.threads) = (precision, threads)
  }

  private func request(_ scene: AuditScene) -> RenderRequest {
    var request = request
    (request.prompt, request.negativePrompt) = (scene.prompt, scene.negative)
    (request.seed, request.size) = (scene.seed, scene.size)
    return request
  }

  /// Renders all shots, those of one strength together.
  ///
  /// - Parameter weights: for each strength.
  /// - Returns: pictures in the order of the shots with the latents that they were made of, and the mean time of a step.
  /// - Throws: what the engine throws.
  func pictures(
    of shots: [AuditShot], with weights: (Double) -> any WeightSource,
    progress: (_ strength: Double, Renderer.Progress) throws -> Void = { _, _ in }
  ) throws -> (images: [RGBImage], latents: [[Float]], secondsPerStep: Double) {
    var seconds = 0.0
    let rendered = try eachStrength(of: shots, with: weights) { strength, renderer, requests in
      let result = try renderer.render(requests) { try progress(strength, $0) }
      seconds += result.secondsPerStep * Double(requests.count)
      return Array(zip(result.images, result.latents))
    }
    return (rendered.map(\.0), rendered.map(\.1), seconds / Double(max(shots.count, 1)))
  }

  /// The latents that all shots end with, without pictures of them.
  ///
  /// - Parameter weights: for each strength.
  /// - Throws: what the engine throws.
  func latents(of shots: [AuditShot], with weights: (Double) -> any WeightSource) throws -> [[Float]] {
    try eachStrength(of: shots, with: weights) { _, renderer, requests in try renderer.latents(of: requests) }
  }

  /// What `body` makes of the shots of each strength together, in the order of the shots.
  private func eachStrength<Made>(
    of shots: [AuditShot], with weights: (Double) -> any WeightSource,
    _ body: (_ strength: Double, Renderer, [RenderRequest]) throws -> [Made]
  ) rethrows -> [Made] {
    var made = [Made?](repeating: nil, count: shots.count)
    for strength in Set(shots.map(\.strength)).sorted() {
      let places = shots.indices.filter { shots[$0].strength == strength }
      let own = try body(strength, renderer(with: weights(strength)), places.map { request(shots[$0].scene) })
      for (place, one) in zip(places, own) { made[place] = one }
    }
    return made.map { $0! }
  }

  /// The latents that scenes end with when nothing is added to the base: the same at every strength of a shot.
  ///
  /// - Throws: what the engine throws.
  func baseLatents(
    of shots: [AuditShot], _ base: Checkpoint, progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> [[Float]] {
    var places: [Int] = []
    let shown = shots.enumerated().map { index, shot -> Int in
      if let known = places.firstIndex(where: { shots[$0].scene.isSamePicture(as: shot.scene) }) { return known }
      places.append(index)
      return places.count - 1
    }
    let latents = try renderer(with: base).latents(of: places.map { request(shots[$0].scene) }, progress: progress)
    return shown.map { latents[$0] }
  }

  private func renderer(with weights: any WeightSource) -> Renderer {
    Renderer(model, weights: weights, autoencoder: autoencoder, precision: precision, threads: threads)
  }
}

/// A scene at one strength.
public struct AuditShot: Sendable {
  /// What the picture shows.
  public let scene: AuditScene
  /// What the strengths of all adapters are multiplied with.
  public let strength: Double

  /// For people: the prompt and the strength.
  public var label: String { "\(scene.prompt), strength \(strength.shortText)" }

  /// All scenes at all their strengths.
  static func all(of scenes: [AuditScene]) -> [AuditShot] {
    scenes.flatMap { scene in scene.strengths.map { AuditShot(scene: scene, strength: $0) } }
  }
}

/// The same pictures before and after, and the spread of changes that everybody accepts.
public struct AuditPictures: Sendable {
  /// What is being made, for those who wait.
  public enum Series: Sendable, Equatable {
    /// The latents of the base alone.
    case base
    case before(strength: Double)
    case after(strength: Double)
    case null(name: String)
  }

  /// A shot rendered with the weights of both sides.
  public struct Pair: Sendable {
    /// What both pictures show, and at which strength.
    public let shot: AuditShot
    /// Rendered with what the other side is compared with.
    public let before: RGBImage
    /// Rendered with what is checked.
    public let after: RGBImage
    /// Of the two pictures, by all metrics.
    public let likeness: Likeness
    /// Of what the pictures were made of.
    public let latentError: LatentError
  }

  /// A harmless change of what was before.
  public struct Null: Sendable {
    /// A shot of the side before, rendered with the change.
    public struct Row: Sendable {
      /// What the picture shows, and at which strength.
      public let shot: AuditShot
      /// Rendered with the change.
      public let picture: RGBImage
      /// Of the picture to the one before without the change.
      public let likeness: Likeness
      /// Of what the two were made of.
      public let latentError: LatentError
    }

    /// Which change it is.
    public let kind: NullKind
    /// One for each scene, at its largest strength.
    public let rows: [Row]
  }

  /// In the order of the scenes, each with its strengths.
  public let pairs: [Pair]
  /// One for each harmless change that this processor and precision allow.
  public let nulls: [Null]
  /// Of the pictures before and of those after.
  public let secondsPerStep: (before: Double, after: Double)

  /// Renders all scenes at all their strengths, before and after; and before again in the ways of `nulls`, at each scene's
  /// largest strength.
  ///
  /// - Throws: what the engine throws, and `ImageError.tooSmall` for pictures that cannot be compared.
  init(
    _ scenes: [AuditScene], before: AuditSide, after: AuditSide, rendering: AuditRendering, nulls: [NullKind],
    progress: (Series, Renderer.Progress) throws -> Void
  ) throws {
    let shots = AuditShot.all(of: scenes)
    let base = try rendering.baseLatents(of: shots, before.base) { try progress(.base, $0) }
    let first = try rendering.pictures(of: shots, with: before.scaled) { try progress(.before(strength: $0), $1) }
    let second = try rendering.pictures(of: shots, with: after.scaled) { try progress(.after(strength: $0), $1) }
    pairs = try shots.indices.map { index in
      Pair(
        shot: shots[index], before: first.images[index], after: second.images[index],
        likeness: Likeness(try ImageComparison(first.images[index], second.images[index])),
        latentError: LatentError(first.latents[index], second.latents[index], base: base[index]))
    }
    secondsPerStep = (first.secondsPerStep, second.secondsPerStep)
    let places = shots.indices.filter { shots[$0].strength == shots[$0].scene.strengths.max() }
    self.nulls = try nulls.map { kind in
      let changed = try rendering.with(kind).pictures(
        of: places.map { shots[$0] }, with: { kind.weights(of: before.scaled(by: $0)) }
      ) { try progress(.null(name: kind.rawValue), $1) }
      return Null(
        kind: kind,
        rows: try places.enumerated().map { index, place in
          Null.Row(
            shot: shots[place], picture: changed.images[index],
            likeness: Likeness(try ImageComparison(first.images[place], changed.images[index])),
            latentError: LatentError(first.latents[place], changed.latents[index], base: base[place]))
        })
    }
  }
}
