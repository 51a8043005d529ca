import Checkpoints
public import Diffusion
public import Images
public import Kernels
import Tensors

/// How pictures are made for an audit.
public struct AuditRendering: Sendable {
  public var model: PictureModel
  public var decoder: Renderer.Decoder
  /// Of all pictures; prompt, seed and size are each scene's own.
  public var request: RenderRequest
  public var precision: Precision
  public var threads: Int

  public init(
    model: PictureModel, decoder: Renderer.Decoder = .own, request: RenderRequest, precision: Precision, threads: Int
  ) {
    (self.model, self.decoder, self.request) = (model, decoder, request)
    (self.precision, self.threads) = (precision, threads)
  }

  func request(_ scene: AuditScene) -> RenderRequest {
    var request = request
    (request.prompt, request.negativePrompt) = (scene.prompt, scene.negative)
    (request.seed, request.size) = (scene.seed, scene.size)
    return request
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

  public struct Pair: Sendable {
    public let scene: AuditScene
    public let strength: Double
    public let before: RGBImage
    public let after: RGBImage
    public let likeness: ImageComparison
  }

  /// A harmless change of what was before.
  public struct Null: Sendable {
    public struct Row: Sendable {
      public let scene: AuditScene
      public let strength: Double
      public let picture: RGBImage
      public let likeness: ImageComparison
    }

    public let kind: NullKind
    public let rows: [Row]
  }

  public let pairs: [Pair]
  public let nulls: [Null]
  /// Of the pictures before and of those after; the steps of the base alone cost what they cost.
  public let secondsPerStep: (before: Double, after: Double)

  /// Renders all scenes at all their strengths, before and after; and before again in the ways of `nulls`, at each scene's
  /// largest strength.
  ///
  /// - Throws: what the engine throws, and `ImageError.tooSmall` for pictures that cannot be compared.
  init(
    _ scenes: [AuditScene], before: AuditSide, after: AuditSide, rendering: AuditRendering, nulls: [NullKind],
    progress: (Series, Renderer.Progress) throws -> Void
  ) throws {
    var pairs: [Pair] = [], seconds = (before: 0.0, after: 0.0), steps = 0
    for strength in Set(scenes.flatMap(\.strengths)).sorted() {
      let own = scenes.filter { $0.strengths.contains(strength) }
      let first = try Self.render(own, with: before.scaled(by: strength), rendering) {
        try progress(.before(strength: strength), $0)
      }
      let second = try Self.render(own, with: after.scaled(by: strength), rendering) {
        try progress(.after(strength: strength), $0)
      }
      seconds.before += first.secondsPerStep * Double(own.count)
      seconds.after += second.secondsPerStep * Double(own.count)
      steps += own.count
      for (index, scene) in own.enumerated() {
        pairs.append(
          Pair(
            scene: scene, strength: strength, before: first.images[index], after: second.images[index],
            likeness: try ImageComparison(first.images[index], second.images[index])))
      }
    }
    // In the order of the scenes, each with its strengths.
    self.pairs = scenes.flatMap { scene in
      scene.strengths.map { strength in pairs.first { $0.scene == scene && $0.strength == strength }! }
    }
    secondsPerStep = (seconds.before / Double(max(steps, 1)), seconds.after / Double(max(steps, 1)))
    let exact = self.pairs
    self.nulls = try nulls.map { kind in
      var rows: [Null.Row] = []
      for strength in Set(scenes.compactMap { $0.strengths.max() }).sorted() {
        let own = scenes.filter { $0.strengths.max() == strength }
        let result = try kind.render(own, with: before.scaled(by: strength), rendering) {
          try progress(.null(name: kind.rawValue), $0)
        }
        rows += try zip(own, result.images).map { scene, image in
          let original = exact.first { $0.scene == scene && $0.strength == strength }!.before
          return Null.Row(
            scene: scene, strength: strength, picture: image, likeness: try ImageComparison(original, image))
        }
      }
      return Null(kind: kind, rows: rows)
    }
  }

  static func render(
    _ scenes: [AuditScene], with weights: some WeightSource, _ rendering: AuditRendering,
    progress: (Renderer.Progress) throws -> Void
  ) throws -> Renderer.Result {
    try Renderer(
      rendering.model, weights: weights, decoder: rendering.decoder, precision: rendering.precision,
      threads: rendering.threads
    ).render(scenes.map(rendering.request), progress: progress)
  }
}

/// A change of the arithmetic that everybody accepts. (Another number of threads is none: it changes no bit.)
public enum NullKind: String, Sendable, CaseIterable {
  /// All weights rounded to the base's 16 bits, as a client loads them.
  case roundedWeights = "weights of 16 bits"
  /// The UNet's products computed in bf16.
  case bfloatArithmetic = "arithmetic in bf16"

  /// Those that differ from what is done anyway, on this processor.
  public static func kinds(for precision: Precision) -> [NullKind] {
    precision == .f32 && NativeBackend.precisions.contains(.bf16) ? allCases : [.roundedWeights]
  }

  fileprivate func render(
    _ scenes: [AuditScene], with side: AuditSide, _ rendering: AuditRendering,
    progress: (Renderer.Progress) throws -> Void
  ) throws -> Renderer.Result {
    switch self {
    case .roundedWeights:
      return try AuditPictures.render(
        scenes, with: RoundedWeights(source: side, format: side.base.usualFormat), rendering, progress: progress)
    case .bfloatArithmetic:
      var rendering = rendering
      rendering.precision = .bf16
      return try AuditPictures.render(scenes, with: side, rendering, progress: progress)
    }
  }
}
