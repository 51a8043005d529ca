public import Kernels

/// A change of the arithmetic that everybody accepts. (Another number of threads is none: it changes no bit.)
public enum NullKind: String, Sendable, CaseIterable {
  /// All weights rounded to the base's 16 bits, as a client loads them.
  case roundedWeights = "weights of 16 bits"
  /// Weights that the base stores as codes become codes again, as after any bake into it; all others are rounded to 16 bits.
  case ownCodes = "weights in the base's own format"
  /// The denoiser's products computed in bf16.
  case bfloatArithmetic = "arithmetic in bf16"

  /// Those that differ from what is done anyway, on this processor.
  ///
  /// - Parameter hasCodes: whether the base stores codes.
  public static func kinds(for precision: Precision, hasCodes: Bool = false) -> [NullKind] {
    let weights: NullKind = hasCodes ? .ownCodes : .roundedWeights
    return precision == .f32 && NativeBackend.precisions.contains(.bf16) ? [weights, .bfloatArithmetic] : [weights]
  }

  /// A side's weights with this change.
  func weights(of side: AuditSide) -> any AuditVariant {
    switch self {
    case .roundedWeights, .ownCodes: RoundedWeights(source: side, format: side.base.usualFormat)
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
