import CKernels

/// What transformers of tokens need besides products and attention.
extension NativeBackend {
  /// In f32, stored in `format`; sums in double precision. x is f32 and whole.
  public func tokenNorm(_ x: FeatureMap, _ norm: TokenNorm, as format: NumberFormat) -> FeatureMap {
    let result = x.similar(format: format, pool: pool)
    run(norm, of: x, into: result, kernels_store)
    return result
  }

  /// Adds in place; copies the sum first where somebody else holds its memory.
  public func addTokenNorm(of x: FeatureMap, _ norm: TokenNorm, to sum: inout FeatureMap) {
    precondition(x.count == sum.count && x.channels == sum.channels, "maps of different sizes cannot be added")
    makeAlone(&sum)
    run(norm, of: x, into: sum, kernels_add_to)
  }

  private func run(_ norm: TokenNorm, of x: FeatureMap, into target: FeatureMap, _ result: kernels_result) {
    norm.requireFit(x)
    x.requireWhole()
    work(.norm) {
      splitSamples(x) { sample, rows in
        let start = rows.lowerBound * x.channels
        kernels_token_norm(
          x.floats + start, rows.count, x.channels, norm.gains.floats + norm.start(sample), norm.epsilon,
          norm.isCentered ? 1 : 0, result, target.base + start * target.format.size, target.format.kernel)
      }
    }
  }

  /// In f32, read and stored in the format of x.
  public func rotated(_ x: FeatureMap, heads: Int, norm: TokenNorm?, by table: RotationTable) -> FeatureMap {
    table.requireFit(x, heads: heads, norm: norm)
    precondition(2 * table.width <= Int(kernels_most_head), "a head of \(2 * table.width) features")
    let result = FeatureMap(
      batch: x.batch, height: x.height, width: x.width, channels: x.channels, format: x.format, pool: pool)
    let rotation = table.style == .pairs ? kernels_pairs : kernels_halves
    work(.norm) {
      splitSamples(x) { sample, rows in
        let angles = (rows.lowerBound - sample * x.pixels) * table.width
        kernels_rotate(
          x.base + rows.lowerBound * x.pitch * x.format.size, rows.count, x.pitch, heads, 2 * table.width,
          norm.map { UnsafePointer($0.gains.floats) }, norm?.epsilon ?? 0, table.cosines.floats + angles,
          table.sines.floats + angles, rotation, result.base + rows.lowerBound * x.channels * x.format.size,
          x.format.kernel)
      }
    }
    return result
  }

  /// The result has half the channels of x, and its format.
  public func gatedSiLU(_ x: FeatureMap) -> FeatureMap {
    x.requireWhole()
    let channels = x.channels / 2, result = x.similar(channels: channels, pool: pool)
    work(.activation) {
      team.split(x.rows, by: rowsOfPiece(x)) { rows in
        kernels_gated_silu(
          x.base + rows.lowerBound * x.channels * x.format.size, rows.count, channels,
          result.base + rows.lowerBound * channels * x.format.size, x.format.kernel)
      }
    }
    return result
  }

  /// Pieces of rows that are of one sample each.
  private func splitSamples(_ x: FeatureMap, _ body: (_ sample: Int, _ rows: Range<Int>) -> Void) {
    let part = rowsOfPiece(x), parts = (x.pixels + part - 1) / part
    team.run(x.batch * parts) { item, _ in
      let sample = item / parts, first = item % parts * part, start = sample * x.pixels + first
      body(sample, start..<start + min(part, x.pixels - first))
    }
  }
}
