import Checkpoints
import Codecs
import Foundation
import Safetensors
import Synchronization
import Tensors

/// Collects, while a bake runs, what is needed to take it back.
final class UndoRecorder: Sendable {
  private struct State {
    var open: [Int: ResidualEncoder] = [:]
    var streams: [Int: (gaps: [UInt8], values: [UInt8])] = [:]
    var exceptions = 0
  }

  private let plan: BakePlan
  private let state = Mutex(State())

  init(_ plan: BakePlan) { self.plan = plan }

  /// Compares a tile of the base with what its baked form predicts.
  ///
  /// - Parameters:
  ///   - output: the baked codes.
  ///   - scales: of the baked weight.
  func record(
    _ index: Int, _ tile: WeightTiles.Tile, tiles: WeightTiles, output: UnsafeRawBufferPointer, dtype: DType,
    scales: [Float], in workspace: AdditionWorkspace
  ) throws {
    guard !plan.keepsOriginal(index) else { return }
    let stored = plan.base.weights[index].entry.dtype, columns = tiles.columns
    guard let baked = SumRounding(dtype), let original = SumRounding(stored) else { return }
    let numbers = workspace.baked.room(for: tile.rows.count * columns), rowBytes = columns * dtype.bits / 8
    for row in tile.rows {
      let offset = row - tile.rows.lowerBound
      baked.widen(
        output.baseAddress! + offset * rowBytes, scale: tiles.scale(row, of: scales),
        into: UnsafeMutableBufferPointer(rebasing: numbers[offset * columns..<(offset + 1) * columns]))
    }
    let predicted = WeightPrediction(rounding: original, scales: tiles.scales).predict(
      baked: numbers.baseAddress!, delta: tile.delta, rows: tile.rows, columns: columns, in: workspace)
    append(index) {
      $0.append(
        tile.stored.baseAddress!, predicted: predicted.baseAddress!, count: tile.rows.count * columns,
        width: stored.bits / 8)
    }
  }

  /// Compares the codes of a tile of the base with what the baked ones predict.
  ///
  /// - Parameters:
  ///   - before: the places of the base's codes.
  ///   - now: of the baked ones.
  func record(
    _ index: Int, before: UnsafePointer<UInt8>, now: UnsafePointer<UInt8>, steps: UnsafePointer<Float>,
    _ tile: WeightTiles.Tile, count: Int, on grid: CodeGrid, in workspace: AdditionWorkspace
  ) {
    guard !plan.keepsOriginal(index) else { return }
    let predicted = WeightPrediction.places(
      before: now, steps: steps, base: tile.base, delta: tile.delta, count: count, on: grid, in: workspace)
    append(index) { $0.append(places: before, predicted: predicted, count: count) }
  }

  /// One thread works on a weight, so its encoder can be taken out while it is used.
  private func append(_ index: Int, _ body: (inout ResidualEncoder) -> Void) {
    var encoder = state.withLock { $0.open.removeValue(forKey: index) } ?? ResidualEncoder()
    body(&encoder)
    state.withLock { $0.open[index] = encoder }
  }

  func finish(_ index: Int) throws {
    guard let encoder = state.withLock({ $0.open.removeValue(forKey: index) }), encoder.count > 0 else { return }
    let streams = (Zstandard.compressed(encoder.gaps), Zstandard.compressed(encoder.values))
    state.withLock {
      $0.streams[index] = streams
      $0.exceptions += encoder.count
    }
  }

  /// Writes the undo file under a temporary name; `commit` of the result gives it its own.
  ///
  /// - Parameter hashes: of each base file's data section.
  /// - Precondition: the base's files are safetensors or GGUF.
  func write(to path: String, overwriting: Bool, hashes: [String]) throws -> SafetensorsWriter {
    let streams = state.withLock { $0.streams }
    var tensors: [(name: String, tensor: Tensor)] = []
    func add(_ name: String, _ bytes: Bytes) {
      tensors.append((name, Tensor(dtype: .u8, shape: [bytes.count], bytes: bytes)))
    }
    for (index, stream) in streams.sorted(by: { $0.key < $1.key }) {
      add("gaps.\(index)", Bytes(copying: stream.gaps))
      add("values.\(index)", Bytes(copying: stream.values))
    }
    let heads = try plan.base.files.map { try $0.contents.gguf?.head ?? $0.contents.safetensors!.head }
    for (index, head) in heads.enumerated() {
      add("head.\(index)", Bytes(copying: Zstandard.compressed(head.withUnsafeBytes(Array.init))))
    }
    let companions = try plan.changedCompanions()
    for (number, companion) in companions.enumerated() {
      add("companion.\(number)", Bytes(copying: Zstandard.compressed(companion.old.withUnsafeBytes(Array.init))))
    }
    // Tensors that the output has not, or not as they were.
    for (index, weight) in plan.base.weights.enumerated()
    where plan.outputs[index] == nil || plan.scaledWeights[index] != nil || plan.keepsOriginal(index) {
      add("raw.\(index)", plan.base.storedBytes(weight))
    }
    let record = UndoRecord(
      plan, heads: heads, hashes: hashes, companions: companions.map { ($0.path, $0.old) })
    for (number, addition) in record.targets.enumerated() {
      tensors.append(("target.\(number).up", addition.up))
      tensors.append(("target.\(number).down", addition.down))
      if let mid = addition.mid { tensors.append(("target.\(number).mid", mid)) }
    }
    let layout = SafetensorsLayout(
      tensors.map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) },
      metadata: [("lathe.undo", try record.text())])
    let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: overwriting)
    for (name, tensor) in tensors { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
    try writer.seal()
    return writer
  }
}

extension BakePlan {
  /// Whether an undo file holds a weight as it was: of a delta without factors, the delta would be no smaller; and codes that
  /// become numbers cannot be told from these, nor numbers that become codes.
  func keepsOriginal(_ index: Int) -> Bool {
    if formats?[index].isQuantised == true, !keepsFormat(index) { return true }
    return leavesCodes(index) || weights.additions[index]?.contains { $0.target.whole != nil } ?? false
  }
}
