import Factoring
import Files
import Foundation
import Kernels
import Rendering
import Tensors

/// All that an answer of the engine depends on.
struct AuditKey: Sendable, Equatable {
  /// The hash of everything, 64 digits.
  let name: String
  /// What was rendered.
  let scenes: [AuditScene]

  /// - Parameters:
  ///   - weights: their facts.
  ///   - rendering: with the harmless change of the arithmetic.
  ///   - null: the harmless change, if there is one.
  ///   - probe: what is asked of the denoiser, if anything.
  init(
    of weights: [String], _ rendering: AuditRendering, null: NullKind?, probe: NoiseProbe?, scenes: [AuditScene]
  ) {
    // Reflection tells all properties, those too that do not exist yet.
    let facts =
      ["answer 1", ToolVersion.current, Self.program, NativeBackend.fingerprint] + weights
      + [null?.rawValue ?? "", rendering.precision.rawValue, String(reflecting: rendering.model.scheduler)]
      + [String(reflecting: rendering.model.latents), String(reflecting: probe.map { ($0.prompts, $0.size) })]
      + scenes.map { String(reflecting: rendering.request($0)) }
    name = ContentHash.sha256(Bytes(copying: Array(facts.map { String(reflecting: $0) }.joined(separator: "\n").utf8)))
    self.scenes = scenes
  }

  /// The program's file as it is: while it is worked on the version stays the same.
  private static let program = String(reflecting: AuditRowInputs.File(at: Bundle.main.executablePath ?? ""))
}
