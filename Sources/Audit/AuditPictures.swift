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
  /// - Returns: pictures in the order of the shots, and the mean time of a step.
  /// - Throws: what the engine throws.
  func pictures(
    of shots: [AuditShot], with weights: (Double) -> any WeightSource,
    progress: (_ strength: Double, Renderer.Progress) throws -> Void
  ) throws -> (images: [RGBImage], secondsPerStep: Double) {
    var images = [RGBImage?](repeating: nil, count: shots.count), seconds = 0.0
    for strength in Set(shots.map(\.strength)).sorted() {
      let places = shots.indices.filter { shots[$0].strength == strength }
      let renderer = Renderer(
        model, weights: weights(strength), autoencoder: autoencoder, precision: precision, threads: threads)
      let result = try renderer.render(places.map { request(shots[$0].scene) }) { try progress(strength, $0) }
      for (place, image) in zip(places, result.images) { images[place] = image }
      seconds += result.secondsPerStep * Double(places.count)
    }
    return (images.map { $0! }, seconds / Double(max(shots.count, 1)))
  }
}

/// A scene at one strength.
public struct AuditShot: Sendable {
  /// What the picture shows.
  public let scene: AuditScene
  /// What the strengths of all adapters are multiplied with.
  public let strength: Double

  /// All scenes at all their strengths.
  static func all(of scenes: [AuditScene]) -> [AuditShot] {
    scenes.flatMap { scene in scene.strengths.map { AuditShot(scene: scene, strength: $0) } }
  }
}

/// The same pictures before and after, and the spread of changes that everybody accepts.
public struct AuditPictures: Sendable {
  /// What is being made, for those who wait.
  public enum Series: Sendable, Equatable {
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
    let first = try rendering.pictures(of: shots, with: before.scaled) { try progress(.before(strength: $0), $1) }
    let second = try rendering.pictures(of: shots, with: after.scaled) { try progress(.after(strength: $0), $1) }
    pairs = try shots.indices.map { index in
      Pair(
        shot: shots[index], before: first.images[index], after: second.images[index],
        likeness: Likeness(try ImageComparison(first.images[index], second.images[index])))
    }
    secondsPerStep = (first.secondsPerStep, second.secondsPerStep)
    let places = shots.indices.filter { shots[$0].strength == shots[$0].scene.strengths.max() }
    self.nulls = try nulls.map { kind in
      let images = try rendering.with(kind).pictures(
        of: places.map { shots[$0] }, with: { kind.weights(of: before.scaled(by: $0)) }
      ) { try progress(.null(name: kind.rawValue), $1) }.images
      return Null(
        kind: kind,
        rows: try zip(places, images).map { place, image in
          Null.Row(
            shot: shots[place], picture: image, likeness: Likeness(try ImageComparison(first.images[place], image)))
        })
    }
  }
}
