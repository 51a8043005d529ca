import Adapters
package import Spectra
package import Tensors

/// A target of a resize that nothing is cut from: its factors are written as they are.
///
/// Making them anew would round every number once more. Where the file's common alpha is another than the target's own, both
/// factors may be multiplied by powers of two, which changes no digit.
package struct ExactCopy: Sendable {
  /// What the factors are multiplied by.
  package let up: Double
  package let down: Double
  /// What a reader multiplies their product by.
  package let scale: Double

  /// - Parameters:
  ///   - target: with its delta.
  ///   - sharedAlpha: of the file.
  ///   - hasConfiguration: whether the output says every target's alpha in a configuration.
  /// - Returns: `nil` where the factors have to be made anew.
  package init?(
    _ target: OutputTarget, spectrum: Spectrum, sharedAlpha: Double, hasConfiguration: Bool
  ) {
    guard target.delta.terms.count == 1, target.magnitude == nil, case let source = target.delta.terms[0].target,
      source.algorithm == .lora, source.kind == .linear || source.kind == .conv, source.scale != 0,
      target.delta.terms[0].strength == 1,
      spectrum.singularValues.count(where: { $0 > 0 }) == source.rank,
      Self.holds(target.dtype, source.up.dtype), Self.holds(target.dtype, source.down.dtype)
    else { return nil }
    let rank = Double(source.rank)
    let scale: Double
    switch target.scaling {
    case .none: scale = hasConfiguration ? source.scale : 1
    case .scale(let stored): scale = SharedAlpha.storable(stored)
    case .alpha: scale = sharedAlpha / rank
    }
    // 2.9999999999999996 was 3: quotients of alphas by ranks are rounded.
    let quotient = source.scale / scale, single = Double(Float(quotient))
    let fold = (single - quotient).magnitude <= 4 * quotient.ulp ? single : quotient
    if fold == 1 {
      (up, down, self.scale) = (1, 1, scale)
      return
    }
    if fold.significand == 1 {
      let (ups, downs) = (source.up.doubles(), source.down.doubles())
      let parts = ScaleFold(fold, up: ups, as: target.dtype, down: downs, as: target.dtype)
      if target.dtype.loss(ups, times: parts.up) == 0, target.dtype.loss(downs, times: parts.down) == 0 {
        (up, down, self.scale) = (parts.up, parts.down, scale)
        return
      }
    }
    // Another alpha than the file's would keep more, but diffusers gives all targets the commonest one.
    return nil
  }

  /// Whether every number of `other` is one of `dtype`.
  private static func holds(_ dtype: DType, _ other: DType) -> Bool {
    dtype == other || (dtype == .f32 && [.f16, .bf16, .f8e4m3, .f8e5m2].contains(other))
  }

  /// The bytes of a factor.
  package static func bytes(_ tensor: Tensor, times factor: Double, as dtype: DType) -> Bytes {
    guard factor != 1 || dtype != tensor.dtype else { return tensor.bytes }
    return Tensor(tensor.doubles().map { $0 * factor }, shape: tensor.shape, dtype: dtype).bytes
  }
}
