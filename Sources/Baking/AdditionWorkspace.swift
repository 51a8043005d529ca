import Codecs
import LinearAlgebra
import Spectra
import Tensors

/// Memory for the tiles of one weight, made once for each thread and reused.
final class AdditionWorkspace {
  let factors = FactorWorkspace()
  let output = ReusableMemory<UInt8>(), predicted = ReusableMemory<UInt8>()
  let base = ReusableMemory<Float>(), delta = ReusableMemory<Float>(), other = ReusableMemory<Float>()
  /// A whole weight's stored bytes, where some of their codes change.
  private let codes = ReusableMemory<UInt8>()
  /// Of a tile, where codes change: their places before and after, and how far apart they are.
  let oldPlaces = ReusableMemory<UInt8>()
  private let places = ReusableMemory<UInt8>(), steps = ReusableMemory<Float>()
  /// A whole weight's sums, where they become blocks.
  let sums = ReusableMemory<Float>()
  let baked = ReusableMemory<Float>()
  private let negative = ReusableMemory<Float>()

  /// −delta, good until the next call.
  func negative(of delta: UnsafePointer<Float>, count: Int) -> UnsafeMutablePointer<Float> {
    let room = negative.room(for: count).baseAddress!
    for i in 0..<count { room[i] = -delta[i] }
    return room
  }

  /// A weight's stored bytes, to be changed; good until the next call.
  func copy(of stored: Bytes) -> UnsafeMutableRawBufferPointer {
    let room = UnsafeMutableRawBufferPointer(codes.room(for: stored.count))
    stored.withUnsafeBytes { room.copyMemory(from: $0) }
    stored.forget()
    return room
  }

  /// Where `count` numbers of rows lie on a grid, and their steps; good until the next call.
  func read(
    _ grid: CodeGrid, rows: Range<Int>, count: Int
  ) -> (places: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>) {
    let places = places.room(for: count).baseAddress!, steps = steps.room(for: count).baseAddress!
    grid.read(rows: rows, places: places, steps: steps)
    return (places, steps)
  }
}
