import CKernels
import COneDNN
public import Tensors

/// Kernels made for the processor: oneDNN for products and direct convolutions, loops of our own for the rest.
///
/// - Important: to be used from `KernelThread` only.
public final class NativeBackend: Backend {
  /// The arithmetic of products that do not ask for f32 themselves.
  public let precision: Precision
  /// Its memory, for maps and for packed weights.
  public let hostPool: HostPool
  /// Where its operations spend their time; nobody resets it but the caller.
  public let stopwatch = Stopwatch()
  /// Whether large convolutions are computed with transformed tiles: two to three times as fast, with ten times the
  /// rounding error (still below 3e-5 of the results' size).
  public let usesWinograd: Bool
  let team: Team
  private var scratchMemory: HostMemory?
  private var scratchBytes = 0

  /// `hostPool`, as all backends show theirs.
  public var pool: any MemoryPool { hostPool }

  /// Rows (pixels) that one piece of work has: about this many bytes, for the cache of one core.
  private static let pieceBytes = 128 << 10

  /// Whether this processor can use it, with which precisions.
  public static var precisions: [Precision] {
    guard OneDNN.isUseful else { return [] }
    return OneDNN.hasBFloat16 ? [.f32, .bf16] : [.f32]
  }

  /// What the bits of results depend on besides their operands: the library and this processor's instructions. The number of
  /// threads is not among it.
  public static var fingerprint: String {
    let own = [attention_portable, attention_avx2, attention_avx512].filter { attention_available($0, 0) != 0 }
    return "\(OneDNN.description), loops \(own.map(\.rawValue)), bf16 \(attention_available(attention_best, 1))"
  }

  /// - Parameter threads: how many there may be; there are fewer where OpenMP or the system gives fewer.
  /// - Precondition: `precisions` contains `precision`.
  public init(precision: Precision, threads: Int, usesWinograd: Bool = true, pool: HostPool = HostPool()) {
    precondition(Self.precisions.contains(precision), "this processor has no \(precision.rawValue) kernels")
    precondition(threads > 0, "kernels need a thread")
    self.precision = precision
    hostPool = pool
    self.usesWinograd = usesWinograd
    team = Team(threads: threads)
  }

  /// Does a piece of work with this backend's threads, and takes its time.
  func work<Result>(_ kind: Stopwatch.Kind, _ body: () throws -> Result) rethrows -> Result {
    // The number is a property of the calling thread, and another backend may have used it before.
    kernels_set_threads(Int32(team.threads))
    return try stopwatch.measure(kind, body)
  }

  /// A product by oneDNN, whose operands have the format of `precision`.
  public func linear(weight: Tensor, bias: Tensor?, precision: Precision) -> any Linear {
    NativeLinear(weight: weight, bias: bias, operand: precision.operand, backend: self)
  }

  /// A convolution by oneDNN or with transformed tiles, whichever suits the geometry and the expected size.
  public func convolution(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, precision: Precision, expecting size: MapSize,
    enlarging: Bool
  ) -> any Convolution {
    NativeConvolution(
      weight: weight, bias: bias, geometry: geometry, operand: precision.operand, expecting: size,
      enlarging: enlarging, backend: self)
  }

  // MARK: Norms

  /// As the protocol says; sums are added in one order, so that the result is the same for any number of threads.
  public func factors(of norm: Norm, groups: Int, for x: FeatureMap, offset: FeatureMap?) -> NormFactors {
    let channels = x.channels, part = rowsOfPiece(x), parts = (x.pixels + part - 1) / part
    precondition(channels % groups == 0, "\(channels) channels cannot be \(groups) groups")
    x.requireWhole()
    let scale = FeatureMap(batch: x.batch, height: 1, width: 1, channels: channels, pool: pool)
    let shift = scale.similar(pool: pool)
    work(.norm) {
      // Each piece's sums, then their squares' sums; added in the same order whatever the number of threads.
      var sums = [Double](repeating: 0, count: x.batch * parts * 2 * channels)
      sums.withUnsafeMutableBufferPointer { sums in
        nonisolated(unsafe) let all = sums.baseAddress!
        team.run(x.batch * parts) { item, _ in
          let first = item % parts * part, count = min(part, x.pixels - first), own = all + item * 2 * channels
          kernels_channel_sums(
            x.floats + (item / parts * x.pixels + first) * channels, count, channels, own, own + channels)
        }
      }
      for sample in 0..<x.batch {
        foldNorm(
          norm, groups: groups, pixels: x.pixels, sums: sums[(sample * parts * 2 * channels)...], parts: parts,
          offset: offset.map { UnsafePointer($0.floats + sample * channels) },
          scale: scale.floats + sample * channels, shift: shift.floats + sample * channels)
      }
    }
    return NormFactors(scale: scale, shift: shift, activation: .identity)
  }

  /// From the sums of x: those of x + offset, mean and variance of each group, and from these scale and shift.
  private func foldNorm(
    _ norm: Norm, groups: Int, pixels: Int, sums: ArraySlice<Double>, parts: Int, offset: UnsafePointer<Float>?,
    scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>
  ) {
    let channels = norm.channels, size = channels / groups, count = Double(pixels), start = sums.startIndex
    let gains = norm.scale.floats, shifts = norm.shift.floats
    for group in 0..<groups {
      var sum = 0.0, squares = 0.0
      for channel in group * size..<(group + 1) * size {
        var own = 0.0, ownSquares = 0.0
        for part in 0..<parts {
          own += sums[start + 2 * part * channels + channel]
          ownSquares += sums[start + (2 * part + 1) * channels + channel]
        }
        let added = offset.map { Double($0[channel]) } ?? 0
        sum += own + count * added
        squares += ownSquares + 2 * added * own + count * added * added
      }
      let mean = sum / (count * Double(size)), variance = squares / (count * Double(size)) - mean * mean
      // Not max(variance, 0), which would hide NaN.
      let factor = 1 / ((variance < 0 ? 0 : variance) + Double(norm.epsilon)).squareRoot()
      for channel in group * size..<(group + 1) * size {
        let added = offset.map { Double($0[channel]) } ?? 0, gain = Double(gains[channel]) * factor
        scale[channel] = Float(gain)
        shift[channel] = Float(Double(shifts[channel]) + (added - mean) * gain)
      }
    }
  }

  /// Norm and activation in one pass over x, which is f32 and whole.
  public func normalized(_ x: FeatureMap, by factors: NormFactors, as format: NumberFormat) -> FeatureMap {
    x.requireWhole()
    let result = x.similar(format: format, pool: pool), part = rowsOfPiece(x), parts = (x.pixels + part - 1) / part
    work(.norm) {
      team.run(x.batch * parts) { item, _ in
        let sample = item / parts, first = item % parts * part, start = (sample * x.pixels + first) * x.channels
        kernels_affine(
          x.floats + start, min(part, x.pixels - first), x.channels, factors.scale.floats + sample * x.channels,
          factors.shift.floats + sample * x.channels, factors.activation.kernel,
          result.base + start * result.format.size, result.format.kernel)
      }
    }
    return result
  }

  /// In f32, stored in `format`. `norm` needs as many channels as x has.
  public func layerNorm(_ x: FeatureMap, _ norm: Norm, as format: NumberFormat) -> FeatureMap {
    precondition(x.channels == norm.channels, "a norm of \(norm.channels) channels was given \(x.channels)")
    x.requireWhole()
    let result = x.similar(format: format, pool: pool)
    work(.norm) {
      team.split(x.rows, by: rowsOfPiece(x)) { rows in
        let start = rows.lowerBound * x.channels
        kernels_layer_norm(
          x.floats + start, rows.count, x.channels, norm.scale.floats, norm.shift.floats, norm.epsilon,
          result.base + start * format.size, format.kernel)
      }
    }
    return result
  }

  // MARK: Attention

  /// Never holds the whole matrix of scores; q, k and v may be parts of the channels of wider maps.
  public func attention(_ q: FeatureMap, _ k: FeatureMap, _ v: FeatureMap, heads: Int, isCausal: Bool) -> FeatureMap {
    precondition(q.channels % heads == 0, "\(q.channels) channels cannot be \(heads) heads")
    let size = q.channels / heads
    precondition(
      k.channels == v.channels && k.channels % size == 0 && q.channels % k.channels == 0 && k.pixels == v.pixels
        && q.batch == k.batch && q.batch == v.batch, "queries, keys and values do not match")
    let result = FeatureMap(
      batch: q.batch, height: q.height, width: q.width, channels: q.channels, format: q.format, pool: pool)
    var task = attention_task(
      q: q.base, k: k.base, v: v.base, out: result.base, q_batch: q.pixels * q.pitch, q_row: q.pitch,
      k_batch: k.pixels * k.pitch, k_row: k.pitch, v_batch: v.pixels * v.pitch, v_row: v.pitch,
      out_batch: result.pixels * result.pitch, out_row: result.pitch, batches: Int32(q.batch), heads: Int32(heads),
      dim: Int32(size), queries: Int32(q.pixels), keys: Int32(k.pixels), key_heads: Int32(k.channels / size),
      scale: 1 / Float(size).squareRoot(),
      causal: isCausal ? 1 : 0, bf16: q.format == .bf16 ? 1 : 0, instructions: attention_best)
    work(.attention) {
      let threads = Int32(team.threads), packed = hostPool.hostMemory(of: attention_packed_bytes(&task))
      let scratch = scratch(attention_scratch_bytes(&task, threads))
      attention_pack(&task, threads, packed.base)
      attention_run(&task, threads, packed.base, scratch)
      withExtendedLifetime((packed, k, v)) {}
    }
    return result
  }

  // MARK: Activations and sums

  /// The result has half the channels of x, and its format.
  public func gatedGELU(_ x: FeatureMap) -> FeatureMap {
    x.requireWhole()
    let channels = x.channels / 2, result = x.similar(channels: channels, pool: pool)
    work(.activation) {
      team.split(x.rows, by: rowsOfPiece(x)) { rows in
        kernels_gated_gelu(
          x.base + rows.lowerBound * x.channels * x.format.size, rows.count, channels,
          result.base + rows.lowerBound * channels * x.format.size, x.format.kernel)
      }
    }
    return result
  }

  /// Reads x in either format and writes in `format`.
  public func activated(_ x: FeatureMap, _ activation: Activation, as format: NumberFormat) -> FeatureMap {
    x.requireWhole()
    let result = x.similar(format: format, pool: pool)
    work(.activation) {
      team.split(x.count, by: Self.pieceBytes / 4) { range in
        kernels_activate(
          x.base + range.lowerBound * x.format.size, x.format.kernel, range.count, activation.kernel,
          result.base + range.lowerBound * format.size, format.kernel)
      }
    }
    return result
  }

  /// In f32: meant for maps as small as latents.
  public func softlyLimited(_ x: FeatureMap, to limit: Float) -> FeatureMap {
    x.requireWhole()
    let result = x.similar(pool: pool)
    kernels_soft_limit(x.floats, x.count, limit, result.floats)
    return result
  }

  /// Adds in place; copies x first where somebody else holds its memory.
  public func add(_ y: FeatureMap, to x: inout FeatureMap) {
    precondition(x.count == y.count && x.channels == y.channels, "maps of different sizes cannot be added")
    y.requireWhole()
    makeAlone(&x)
    let sum = x
    work(.activation) {
      team.split(sum.count, by: Self.pieceBytes / 4) {
        kernels_add(sum.floats + $0.lowerBound, y.floats + $0.lowerBound, $0.count)
      }
    }
  }

  // MARK: Moving

  /// In f32. Both maps have the same extents and may differ in channels only.
  public func concatenated(_ a: FeatureMap, _ b: FeatureMap) -> FeatureMap {
    precondition(a.size == b.size && a.batch == b.batch, "maps of different sizes cannot be joined")
    a.requireWhole()
    b.requireWhole()
    let result = a.similar(channels: a.channels + b.channels, pool: pool)
    work(.moving) {
      team.split(a.rows, by: rowsOfPiece(result)) { rows in
        for row in rows {
          let target = result.floats + row * result.channels
          target.update(from: a.floats + row * a.channels, count: a.channels)
          (target + a.channels).update(from: b.floats + row * b.channels, count: b.channels)
        }
      }
    }
    return result
  }

  /// x with its pixels repeated; a target's pixel shows the one at ⌊its place · old extent / new extent⌋.
  func enlarged(_ x: FeatureMap, to size: MapSize) -> FeatureMap {
    x.requireWhole()
    let result = x.similar(size: size, pool: pool), bytes = x.channels * x.format.size
    work(.moving) {
      team.run(x.batch * size.height) { line, _ in
        let sample = line / size.height, y = line % size.height * x.height / size.height
        let source = x.base + (sample * x.height + y) * x.width * bytes
        for i in 0..<size.width {
          (result.base + (line * size.width + i) * bytes).copyMemory(
            from: source + i * x.width / size.width * bytes, byteCount: bytes)
        }
      }
    }
    return result
  }

  /// x in the format that a product reads.
  func converted(_ x: FeatureMap, to format: NumberFormat) -> FeatureMap {
    x.format == format ? x : activated(x, .identity, as: format)
  }

  /// Gives `x` memory of its own, with the same contents.
  func makeAlone(_ x: inout FeatureMap) {
    x.requireWhole()
    guard !x.isAlone() else { return }
    let copy = x.similar(pool: pool), source = x, size = x.format.size
    work(.moving) {
      team.split(x.count, by: Self.pieceBytes / 4) {
        (copy.base + $0.lowerBound * size).copyMemory(
          from: source.base + $0.lowerBound * size, byteCount: $0.count * size)
      }
    }
    x = copy
  }

  // MARK: Memory

  /// A tensor's numbers in f32, for as long as `body` runs.
  func withFloats<Result>(of tensor: Tensor, _ body: (UnsafeRawPointer) -> Result) -> Result {
    let memory = hostPool.hostMemory(of: 4 * tensor.elementCount), size = tensor.dtype.bits / 8
    return work(.packing) {
      let floats = memory.base.assumingMemoryBound(to: Float.self)
      team.split(tensor.elementCount, by: Self.pieceBytes) { range in
        let part = tensor.bytes[range.lowerBound * size..<range.upperBound * size]
        Tensor(dtype: tensor.dtype, shape: Shape([range.count]), bytes: part)
          .copyFloats(to: UnsafeMutableBufferPointer(start: floats + range.lowerBound, count: range.count))
      }
      tensor.bytes.forget()
      return withExtendedLifetime(memory) { body(memory.base) }
    }
  }

  func parameters(_ tensor: Tensor) -> FeatureMap {
    FeatureMap(tensor.floats(), batch: 1, height: 1, width: 1, channels: tensor.elementCount, pool: pool)
  }

  /// At least `count` bytes, valid until the next call.
  func scratch(_ count: Int) -> UnsafeMutableRawPointer {
    if count > scratchBytes || scratchMemory == nil {
      scratchMemory = hostPool.hostMemory(of: max(count, 64))
      scratchBytes = count
    }
    return scratchMemory!.base
  }

  func rowsOfPiece(_ x: FeatureMap) -> Int { max(1, Self.pieceBytes / (4 * x.channels)) }
}

extension NumberFormat {
  var kernel: kernels_format { self == .f32 ? kernels_f32 : kernels_bf16 }
}

extension Activation {
  var kernel: kernels_activation {
    switch self {
    case .identity: kernels_identity
    case .silu: kernels_silu
    case .gelu: kernels_gelu
    case .quickGELU: kernels_quick_gelu
    case .relu: kernels_relu
    }
  }
}
