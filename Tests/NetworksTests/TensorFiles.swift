import Checkpoints
import Foundation
import Models
import Safetensors
import Tensors
import TestSupport
import Testing

/// Makes a safetensors file whose tensors are holes: zeros that take no place on the disk.
func writeHoles(_ shapes: [(name: String, shape: [Int])], to path: String) throws {
  let layout = SafetensorsLayout(
    shapes.map { SafetensorsLayout.Item(name: $0.name, dtype: .f16, shape: Shape($0.shape)) }, metadata: [])
  try Data(layout.head()).write(to: URL(filePath: path))
  let file = try FileHandle(forUpdating: URL(filePath: path))
  try file.truncate(atOffset: UInt64(layout.fileCount))
  try file.close()
}

/// Zeros for every weight that is asked for, and what was asked for.
final class RecordedWeights: WeightSource {
  private(set) var shapes: [WeightName: [Int]] = [:]
  private let zeros = Bytes(copying: [UInt8](repeating: 0, count: 64 << 20))

  /// How many numbers the weights have.
  var count: Int { shapes.values.reduce(0) { $0 + $1.reduce(1, *) } }

  func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    shapes[name] = shape.extents
    return Tensor(dtype: .u8, shape: shape, bytes: zeros[0..<shape.elementCount])
  }

  func names(of component: Component) -> [(name: String, shape: [Int])] {
    shapes.filter { $0.key.component == component }.map { ($0.key.path, $0.value) }
  }
}
