import Checkpoints
import Codecs
import Files
import GGUF
import Tensors

/// Turns baked weights back into the base's, one at a time.
struct WeightRestorer: Sendable {
  private let undo: UndoFile
  private let heads: [OriginalHead]
  private let files: [TemporaryFile]
  /// The baked checkpoint, and what was added to it.
  private let weights: AdaptedWeights
  /// For each weight of the base its place in the baked checkpoint; `nil` when the bake dropped it.
  private let places: [Int?]

  init(_ undo: UndoFile, baked: Checkpoint, heads: [OriginalHead], files: [TemporaryFile]) throws {
    (self.undo, self.heads, self.files) = (undo, heads, files)
    let places = undo.record.weights.map { baked.index(of: $0.name, inFile: $0.file) }
    self.places = places
    var additions: [Int: [AdaptedWeights.Addition]] = [:]
    for (index, list) in try undo.additions() {
      guard let place = places[index] else {
        throw BakingError(.undo(reason: "found a change to a weight that was left out"), path: undo.path)
      }
      let (rows, columns) = baked.weights[place].entry.shape.flattened
      for addition in list where !addition.fits(rows: rows, columns: columns) {
        throw BakingError(
          .otherBake(
            weight: baked.weights[place].entry.name, expected: "\(addition.target.shape)",
            found: "\(baked.weights[place].entry.shape)"), path: baked.path)
      }
      additions[place] = list
    }
    weights = AdaptedWeights(base: baked, additions: additions)
  }

  /// Restores the weight of this number in the base.
  func restore(_ index: Int, in workspace: AdditionWorkspace) throws {
    let name = undo.record.weights[index].name, file = undo.record.weights[index].file
    guard let entry = heads[file].entries[name] else {
      throw BakingError(.undo(reason: "found no \(name) in the base's header"), path: undo.path)
    }
    let start = heads[file].bytes.count + entry.range.lowerBound
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
      guard offset + bytes.count <= entry.range.count else {
        throw BakingError(
          .otherBake(weight: name, expected: "\(entry.range.count) bytes", found: "more"), path: weights.base.path)
      }
      try files[file].write(bytes, at: start + offset)
    }
    if let raw = undo.raw(index) { return try raw.withUnsafeBytes { try write($0, at: 0) } }
    guard let place = places[index] else {
      throw BakingError(.undo(reason: "found no \(name) in it"), path: undo.path)
    }
    let baked = weights.base.weights[place]
    guard baked.stored.shape == entry.shape else {
      throw BakingError(
        .otherBake(weight: name, expected: "\(entry.shape)", found: "\(baked.stored.shape)"), path: weights.base.path)
    }
    let isAlike = baked.stored.dtype == entry.dtype && weights.base.files[baked.file].format(of: name) == entry.format
    if weights.additions[place] == nil, isAlike { return try copy(weights.base.storedBytes(baked), write) }
    if isAlike, !baked.isInPlace, let grid = baked.quantisation?.codec.grid {
      return try subtract(index, place, on: grid, in: workspace, write)
    }
    guard baked.quantisation == nil || baked.isInPlace else {
      throw BakingError(
        .otherBake(weight: name, expected: "plain numbers", found: baked.quantisation!.codec.name),
        path: weights.base.path)
    }
    try subtract(index, place, entry, in: workspace, write)
  }

  private func copy(
    _ bytes: Bytes, _ write: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    let size = 4 << 20
    for start in stride(from: 0, to: bytes.count, by: size) {
      let part = bytes[start..<min(start + size, bytes.count)]
      try part.withUnsafeBytes { try write($0, start) }
      part.forget()
    }
  }

  private func subtract(
    _ index: Int, _ place: Int, _ entry: OriginalHead.Entry, in workspace: AdditionWorkspace,
    _ write: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    guard let rounding = SumRounding(entry.dtype) else {
      throw BakingError(.format(weight: entry.name, dtype: entry.dtype.rawValue), path: undo.path)
    }
    let tiles = try WeightTiles(weights, stored: place, in: workspace)
    let scales = try originalScales(entry, file: undo.record.weights[index].file)
    let prediction = WeightPrediction(rounding: rounding, scales: scales)
    let width = entry.dtype.bits / 8, isSameFormat = weights.base.weights[place].entry.dtype == entry.dtype
    var residual = try undo.residual(index, elements: entry.shape.elementCount)
    try tiles.forEach { tile in
      let offset = tile.rows.lowerBound * tiles.columns * width
      if !tile.isChanged, isSameFormat, scales == tiles.scales { return try write(tile.stored, offset) }
      let codes = prediction.predict(
        baked: tile.base, delta: tile.delta, rows: tile.rows, columns: tiles.columns, in: workspace)
      residual.correct(codes.baseAddress!, count: tile.rows.count * tiles.columns, width: width)
      try write(UnsafeRawBufferPointer(codes), offset)
    }
  }

  /// The same for codes, which were moved on the grid that they still have.
  private func subtract(
    _ index: Int, _ place: Int, on grid: CodeGrid, in workspace: AdditionWorkspace,
    _ write: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    let tiles = try WeightTiles(weights, stored: place, on: grid, in: workspace), baked = weights.base.weights[place]
    let bytes = workspace.copy(of: weights.base.storedBytes(baked))
    var residual = try undo.residual(index, elements: baked.entry.shape.elementCount)
    try tiles.forEach { tile in
      guard tile.isChanged else { return }
      let count = tile.rows.count * tiles.columns
      let (places, steps) = workspace.read(grid, rows: tile.rows, count: count)
      let predicted = WeightPrediction.places(
        before: places, steps: steps, base: tile.base, delta: tile.delta, count: count, on: grid, in: workspace)
      residual.correct(places: predicted, count: count)
      grid.write(rows: tile.rows, places: predicted, into: bytes)
    }
    try write(UnsafeRawBufferPointer(bytes), 0)
  }

  /// The scales that an 8-bit weight had before the bake.
  private func originalScales(_ entry: OriginalHead.Entry, file: Int) throws -> [Float] {
    guard entry.dtype.bits == 8 else { return [1] }
    let stored = StoredWeight.scaleNames(of: entry.name).lazy.compactMap { heads[file].entries[$0] }.first
    guard let stored, case let name = stored.name,
      let index = undo.record.weights.firstIndex(where: { $0.file == file && $0.name == name })
    else { return [1] }
    let bytes = undo.raw(index) ?? places[index].map { weights.base.storedBytes(weights.base.weights[$0]) }
    let rows = entry.shape.flattened.rows
    guard let bytes, bytes.count == stored.range.count, stored.dtype.isReadable,
      stored.shape.elementCount == 1 || stored.shape.elementCount == rows
    else { throw BakingError(.undo(reason: "found no scales of \(entry.name) in it"), path: undo.path) }
    return Tensor(dtype: stored.dtype, shape: stored.shape, bytes: bytes).floats()
  }
}

extension AdaptedWeights.Addition {
  /// Whether the delta can be added to a weight of this size.
  fileprivate func fits(rows: Int, columns: Int) -> Bool {
    placement.isTransposed
      ? target.columns == rows && target.rows == columns
      : target.columns == columns && placement.storedRows.upperBound <= rows
        && placement.deltaRows.upperBound <= target.rows && placement.storedRows.count == placement.deltaRows.count
  }
}

extension Checkpoint.File {
  /// How a GGUF file stores a tensor; `nil` in other containers.
  fileprivate func format(of name: String) -> GGUFFormat? {
    contents.gguf.flatMap { file in contents.index(of: name).map { file.entries[$0].format } }
  }
}
