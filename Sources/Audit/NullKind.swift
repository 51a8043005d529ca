public import Kernels

/// A change of the arithmetic that everybody accepts. (Another number of threads is none: it changes no bit.)
public enum NullKind: String, Sendable, CaseIterable {
  /// All weights rounded to the base's 16 bits, as a client loads them.
  case roundedWeights = "weights of 16 bits"
  /// The denoiser's products computed in bf16.
  case bfloatArithmetic = "arithmetic in bf16"

  /// Those that differ from what is done anyway, on this processor.
  public static func kinds(for precision: Precision) -> [NullKind] {
    precision == .f32 && NativeBackend.precisions.contains(.bf16) ? allCases : [.roundedWeights]
  }

  /// A side's weights with this change.
  func weights(of side: AuditSide) -> any AuditVariant {
    switch self {
    case .roundedWeights: RoundedWeights(source: side, format: side.base.usualFormat)
    case .bfloatArithmetic: side
    }
  }
}

extension AuditRendering {
  /// The same with a change of the arithmetic.
  func with(_ kind: NullKind) -> AuditRendering {
    var rendering = self
    if kind == .bfloatArithmetic { rendering.precision = .bf16 }
    return rendering
  }
}
