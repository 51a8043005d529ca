public import Checkpoints
import Kernels
import Networks
import Tensors

extension Calibration {
  /// What goes into a layer in one pass: a row for each token, or for each place of a convolution's kernel.
  public struct Inputs {
    /// Whose they are; several where one product computes layers with the same input.
    public let weights: [WeightName]
    fileprivate let inputs: LayerInputs

    /// Numbers of a row: the columns of the weights.
    public var columns: Int { inputs.columns }

    /// Shows all rows, some at a time, row-major.
    public func forEachPart(_ body: (UnsafeBufferPointer<Double>) -> Void) { inputs.forEachPart(body) }
  }

  /// The steps whose inputs are looked at: from pure noise to nearly a picture.
  static let inputSteps = [0, 2, 3, 4]

  /// Shows what goes into every layer of the denoiser and of the text encoders while the scenes are drawn: of texts the
  /// prompt, of steps the predictions that it guides to.
  ///
  /// - Parameters:
  ///   - weights: of the model, with everything that is to be looked at added.
  ///   - progress: called with the number of scenes done.
  ///   - visit: called on `KernelThread`, in an order that only the model and the scenes decide.
  /// - Throws: `PromptError`, `CheckpointError`, `RenderingError` for predictions that are not finite, and what `progress`
  ///   and `visit` throw.
  public func visitInputs(
    with weights: some WeightSource, progress: (Int) throws -> Void = { _ in }, _ visit: (Inputs) throws -> Void
  ) throws {
    try KernelThread.run {
      let backends = Backends(precision: .f32, threads: threads), tap = InputTap()
      let texts = try readTexts(with: weights, backends, tap: tap) { reader, scene in
        try tap.watching(visit) { _ = try reader.features(of: TextRequest(prompt: scene.prompt)) }
      }
      let denoiser = try model.makeDenoiser(
        weights: weights, backend: backends.main, expecting: model.latents.size(of: size), tap: tap)
      for (done, scene) in scenes.enumerated() {
        let samples = try samples(
          of: scene, text: texts[done], at: Self.inputSteps, denoiser: denoiser, pool: backends.pool)
        try tap.watching(visit) { _ = try predictions(samples, denoiser: denoiser, pool: backends.pool) }
        try progress(done + 1)
      }
    }
  }

  /// What the prompts say. The text encoders are gone afterwards.
  ///
  /// - Parameter body: gets them for each scene.
  private func readTexts(
    with weights: some WeightSource, _ backends: Backends, tap: any LayerTap,
    _ body: (any TextModel, Scene) throws -> Void
  ) throws -> [PromptFeatures] {
    defer { backends.pool.trim() }
    let reader = try model.makeTextModel(weights: weights, backend: backends.exact, tap: tap)
    return try scenes.map { scene in
      try body(reader, scene)
      return try reader.features(of: request(scene))
    }
  }
}

/// Shows inputs to a visitor while it is told to.
private final class InputTap: LayerTap {
  private var visit: ((Calibration.Inputs) throws -> Void)?
  private var fault: (any Error)?

  func watching(_ visit: (Calibration.Inputs) throws -> Void, _ body: () throws -> Void) throws {
    try withoutActuallyEscaping(visit) { visit in
      self.visit = visit
      defer { self.visit = nil }
      try body()
    }
    if let fault { throw fault }
  }

  func willCompute(_ weights: [WeightName], on inputs: LayerInputs) {
    guard let visit, fault == nil else { return }
    do { try visit(Calibration.Inputs(weights: weights, inputs: inputs)) } catch { fault = error }
  }

  func change(of weight: WeightName) -> Tensor? { nil }
}
