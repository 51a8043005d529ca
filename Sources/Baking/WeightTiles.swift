import Checkpoints
import Codecs
import Tensors

/// A stored weight taken apart into tiles of rows that fit into a core's cache, each with the delta that is added to it.
struct WeightTiles {
  struct Tile {
    let rows: Range<Int>
    /// The stored bytes; the numbers in single precision where codes of another kind are stored.
    let stored: UnsafeRawBufferPointer
    /// The weights as numbers.
    let base: UnsafePointer<Float>
    /// What is added; zeros where nothing is.
    let delta: UnsafePointer<Float>
    let isChanged: Bool
    let space: ShapingSpace?
  }

  let rows: Int
  let columns: Int
  /// What the stored numbers are multiplied by: one number, or one for each row.
  let scales: [Float]
  private let tensor: Tensor
  /// Of codes that are no numbers with a scale for rows.
  private let codec: (any WeightCodec)?
  /// Where codes are moved; its rotation is that of deltas and directions too.
  private let grid: CodeGrid?
  private let reading: SumRounding
  private let segments: [AdditionSegment]
  private let workspace: AdditionWorkspace

  private static let tileElements = 1 << 18

  /// - Parameter grid: on which codes are to be moved: deltas are then those of what the codes stand for.
  /// - Throws: `BakingError` when the weight is of a format that nothing can be added to.
  init(
    _ weights: AdaptedWeights, stored index: Int, shaping: Bool = false, on grid: CodeGrid? = nil,
    in workspace: AdditionWorkspace
  ) throws {
    self.grid = grid
    let weight = weights.base.weights[index]
    codec = weight.isInPlace ? nil : weight.quantisation?.codec
    tensor = weights.base.tensor(weight)
    guard let reading = SumRounding(weight.entry.dtype) else {
      throw BakingError(.format(weight: weight.entry.name, dtype: weight.entry.dtype.rawValue), path: weights.base.path)
    }
    self.reading = reading
    (rows, columns) = weight.entry.shape.flattened
    scales = weights.base.scales(of: weight) ?? [1]
    segments = try AdditionSegment.segments(
      rows: rows, columns: columns, weights.additions[index] ?? [], shaping: shaping, on: grid, workspace.factors)
    self.workspace = workspace
  }

  /// The scale of a row.
  func scale(_ row: Int, of scales: [Float]) -> Float { scales.count == 1 ? scales[0] : scales[row] }

  /// All tiles in the order of rows. A tile's memory is good until the next one.
  func forEach(_ body: (Tile) throws -> Void) throws {
    guard columns > 0 else { return }
    // Whole batches of 16 rows, which rounding works on at once.
    let height = max(64, Self.tileElements / columns / 16 * 16), rowBytes = columns * tensor.dtype.bits / 8
    for segment in segments {
      for start in stride(from: segment.rows.lowerBound, to: segment.rows.upperBound, by: height) {
        let range = start..<min(start + height, segment.rows.upperBound), count = range.count * columns
        let base = workspace.base.room(for: count), delta = workspace.delta.room(for: count)
        add(segment, range, into: delta)
        if !segment.products.isEmpty { grid?.rotate(delta) }
        func work(_ stored: UnsafeRawBufferPointer) throws {
          try body(
            Tile(
              rows: range, stored: stored, base: base.baseAddress!, delta: delta.baseAddress!,
              isChanged: !segment.products.isEmpty, space: segment.space))
        }
        if let codec {
          codec.decode(rows: range, into: base)
          try work(UnsafeRawBufferPointer(base))
          continue
        }
        let bytes = tensor.bytes[range.lowerBound * rowBytes..<range.upperBound * rowBytes]
        try bytes.withUnsafeBytes { stored in
          widen(stored, range, into: base)
          try work(stored)
        }
        bytes.forget()
      }
    }
  }

  private func widen(
    _ stored: UnsafeRawBufferPointer, _ range: Range<Int>, into base: UnsafeMutableBufferPointer<Float>
  ) {
    if scales.count == 1 { return reading.widen(stored.baseAddress!, scale: scales[0], into: base) }
    for (place, row) in range.enumerated() {
      reading.widen(
        stored.baseAddress! + place * columns * tensor.dtype.bits / 8, scale: scales[row],
        into: UnsafeMutableBufferPointer(rebasing: base[place * columns..<(place + 1) * columns]))
    }
  }

  private func add(_ segment: AdditionSegment, _ range: Range<Int>, into delta: UnsafeMutableBufferPointer<Float>) {
    guard let (first, firstRow) = segment.products.first else {
      delta.update(repeating: 0)
      return
    }
    func rows(_ firstRow: Int) -> Range<Int> {
      range.lowerBound - segment.rows.lowerBound + firstRow..<range.upperBound - segment.rows.lowerBound + firstRow
    }
    first.compute(rows: rows(firstRow), into: delta.baseAddress!)
    for (product, firstRow) in segment.products.dropFirst() {
      let more = workspace.other.room(for: delta.count)
      product.compute(rows: rows(firstRow), into: more.baseAddress!)
      for i in delta.indices { delta[i] += more[i] }
    }
  }
}
