public import Images
import Rendering

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

  /// Of each scene the shots at its largest strength, which show its harmless changes.
  static func places(ofLargestStrengthIn shots: [AuditShot]) -> [Int] {
    shots.indices.filter { shots[$0].strength == shots[$0].scene.strengths.max() }
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

  /// Makes pictures of all that was rendered, and compares them.
  ///
  /// - Parameters:
  ///   - shots: what was rendered with both sides.
  ///   - nulls: harmless changes of the side before, each with its shots at each scene's largest strength.
  /// - Throws: what the decoder throws, and `ImageError.tooSmall` for pictures that cannot be compared.
  init(
    _ shots: [AuditShot], base: AuditRun, before: AuditRun, after: AuditRun, nulls: [(kind: NullKind, run: AuditRun)],
    engine: AuditEngine, progress: (Renderer.Progress) throws -> Void
  ) throws {
    let places = AuditShot.places(ofLargestStrengthIn: shots), largest = places.map { shots[$0] }
    let rendered = try engine.pictures(
      of: [(before, shots), (after, shots)] + nulls.map { ($0.run, largest) }, progress: progress)
    let origin = shots.map { base.latents(of: $0) }, old = shots.map { before.latents(of: $0) }
    let new = shots.map { after.latents(of: $0) }
    pairs = try shots.indices.map { index in
      Pair(
        shot: shots[index], before: rendered[0][index], after: rendered[1][index],
        likeness: Likeness(try ImageComparison(rendered[0][index], rendered[1][index])),
        latentError: LatentError(old[index], new[index], base: origin[index]))
    }
    secondsPerStep = (before.secondsPerStep, after.secondsPerStep)
    self.nulls = try zip(nulls, rendered[2...]).map { null, changed in
      Null(
        kind: null.kind,
        rows: try zip(places, changed).map { place, picture in
          Null.Row(
            shot: shots[place], picture: picture,
            likeness: Likeness(try ImageComparison(rendered[0][place], picture)),
            latentError: LatentError(old[place], null.run.latents(of: shots[place]), base: origin[place]))
        })
    }
  }
}
