import LinearAlgebra
import Spectra
import Tensors

/// Memory for the tiles of one weight, made once for each thread and reused.
final class AdditionWorkspace {
  let factors = FactorWorkspace()
  let output = ReusableMemory<UInt8>(), predicted = ReusableMemory<UInt8>()
  let base = ReusableMemory<Float>(), delta = ReusableMemory<Float>(), other = ReusableMemory<Float>()
  /// A whole weight's stored bytes, where some of their codes change.
  let codes = ReusableMemory<UInt8>()
  /// Of a tile, where codes change: their places before and after, and how far apart they are.
  let oldPlaces = ReusableMemory<UInt8>(), places = ReusableMemory<UInt8>(), steps = ReusableMemory<Float>()
  /// A whole weight's sums, where they become blocks.
  let sums = ReusableMemory<Float>()
  let baked = ReusableMemory<Float>(), negative = ReusableMemory<Float>()
}
