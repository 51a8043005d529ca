import Checkpoints
import Factoring
import LinearAlgebra
import Platform
import Tensors

/// The difference of one weight between two checkpoints, in memory.
struct ExtractDelta {
  /// Row-major, outputs × inputs · kernel; valid until the workspace loads another.
  let elements: UnsafeBufferPointer<Float>
  /// ‖D‖²_F.
  let energy: Double
  /// The energy that rounding to each checkpoint's format puts into a difference.
  let tunedRounding: Double
  let baseRounding: Double
  let hasOneFormat: Bool
  let tunedIsCoarser: Bool
  let isEqual: Bool

  /// Whether the difference is no more than one rounding to the coarser of the formats.
  var isWithinRounding: Bool { energy <= 1.2 * (tunedIsCoarser ? tunedRounding : baseRounding) }

  /// What rounding the tuned checkpoint explains of the difference: the base then counts as exact, as it is for who
  /// trained on it as it stands. Where the formats differ, the base's rounding is in the difference too.
  func noise(_ target: ExtractTarget) -> NoiseEdge {
    edge(target, hasOneFormat ? tunedRounding : tunedRounding + baseRounding)
  }

  /// What rounding both explains: when they were made from a base of more digits.
  func noiseOfBoth(_ target: ExtractTarget) -> NoiseEdge { edge(target, tunedRounding + baseRounding) }

  private func edge(_ target: ExtractTarget, _ energy: Double) -> NoiseEdge {
    NoiseEdge(
      rows: target.rows, columns: target.columns,
      deviation: (energy / Double(max(1, target.rows * target.columns))).squareRoot())
  }
}

/// Reads differences; one for each thread.
final class ExtractReader {
  private let memory = ReusableMemory<Float>(), transposedMemory = ReusableMemory<Float>()
  let panels = ReusableMemory<Double>()
  let encoder = FactorEncoder()
  private let upMemory = ReusableMemory<Double>(), downMemory = ReusableMemory<Double>()

  private static let chunk = 1 << 15

  func upRoom(_ count: Int) -> UnsafeMutableBufferPointer<Double> { upMemory.room(for: count) }
  func downRoom(_ count: Int) -> UnsafeMutableBufferPointer<Double> { downMemory.room(for: count) }

  /// - Throws: `CheckpointError` (`unreadable`), or `FactoringError` (`notFinite`) naming the file.
  func delta(of target: ExtractTarget, _ plan: ExtractPlan) throws -> ExtractDelta {
    let base = try Source(target.base, shape: target.shape, in: plan.base)
    let tuned = try Source(target.tuned, shape: target.shape, in: plan.tuned)
    defer {
      base.forget()
      tuned.forget()
    }
    let count = target.shape.elementCount, elements = memory.room(for: count)
    let isEqual = base.hasSameBytes(as: tuned)
    var energy = 0.0, tunedSquares = 0.0, baseSquares = 0.0
    for start in stride(from: 0, to: count, by: Self.chunk) {
      let range = start..<min(start + Self.chunk, count)
      let part = UnsafeMutableBufferPointer(rebasing: elements[range])
      let (old, new) = (base.floats(range), tuned.floats(range))
      if base.isDouble || tuned.isDouble {
        let (old, new) = (base.doubles(range), tuned.doubles(range))
        for i in part.indices { part[i] = Float(new[i] - old[i]) }
      } else {
        for i in part.indices { part[i] = new[i] - old[i] }
      }
      energy += UnsafeBufferPointer(part).sumOfSquares
      baseSquares += old.withUnsafeBufferPointer(base.unit.squares)
      tunedSquares += new.withUnsafeBufferPointer(tuned.unit.squares)
    }
    guard energy.isFinite, baseSquares.isFinite, tunedSquares.isFinite else {
      for (source, file) in [(tuned, plan.recipe.tuned), (base, plan.recipe.base)] {
        let bad = source.floats(0..<count).count { !$0.isFinite }
        if bad > 0 { throw FactoringError(.notFinite(tensor: target.weightName, count: bad), path: file) }
      }
      throw FactoringError(.notFinite(tensor: target.weightName, count: count), path: plan.recipe.tuned)
    }
    return ExtractDelta(
      elements: UnsafeBufferPointer(target.isTransposed ? transposed(elements, target) : elements), energy: energy,
      tunedRounding: tunedSquares / 12, baseRounding: baseSquares / 12, hasOneFormat: base.dtype == tuned.dtype,
      tunedIsCoarser: (tuned.dtype.unitRoundoff ?? 0) >= (base.dtype.unitRoundoff ?? 0), isEqual: isEqual)
  }

  private func transposed(
    _ elements: UnsafeMutableBufferPointer<Float>, _ target: ExtractTarget
  ) -> UnsafeMutableBufferPointer<Float> {
    let result = transposedMemory.room(for: elements.count), (rows, columns) = (target.rows, target.columns)
    for j in 0..<columns { for i in 0..<rows { result[i * columns + j] = elements[j * rows + i] } }
    return result
  }

  /// One checkpoint's side.
  private struct Source {
    private let tensor: Tensor
    let dtype: DType
    let unit: UnitInTheLastPlace

    init(_ weight: NamedWeight, shape: Shape, in checkpoint: Checkpoint) throws {
      var dtype = DType.f64, isScaled = false
      for piece in weight.pieces {
        let stored = checkpoint.weights[piece.stored]
        guard stored.entry.dtype.isReadable else {
          throw CheckpointError(
            .unreadable(tensor: stored.entry.name, dtype: stored.entry.dtype.rawValue), path: checkpoint.path)
        }
        if (stored.entry.dtype.unitRoundoff ?? 0) > (dtype.unitRoundoff ?? 0) { dtype = stored.entry.dtype }
        if stored.quantisation != nil { isScaled = true }
      }
      tensor = weight.assembled(shape: shape) { checkpoint.decodedTensor(checkpoint.weights[$0]) }
      self.dtype = dtype
      unit = UnitInTheLastPlace(dtype, isScaled: isScaled)
    }

    var isDouble: Bool { tensor.dtype == .f64 }

    /// Both files would otherwise come to count as this process's memory.
    func forget() { tensor.bytes.forget() }

    private func part(_ range: Range<Int>) -> Tensor {
      let size = tensor.dtype.bits / 8
      return Tensor(
        dtype: tensor.dtype, shape: [range.count],
        bytes: tensor.bytes[range.lowerBound * size..<range.upperBound * size])
    }

    func floats(_ range: Range<Int>) -> [Float] { part(range).floats() }
    func doubles(_ range: Range<Int>) -> [Double] { part(range).doubles() }

    func hasSameBytes(as other: Source) -> Bool {
      tensor.dtype == other.tensor.dtype && tensor.bytes.count == other.tensor.bytes.count
        && tensor.bytes.withUnsafeBytes { a in
          other.tensor.bytes.withUnsafeBytes { a.isEmpty || memcmp(a.baseAddress!, $0.baseAddress!, a.count) == 0 }
        }
    }
  }
}
