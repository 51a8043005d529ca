import Adapters
import Tensors
import TestSupport

/// A small adapter made in code, in kohya's names, and written where a reader can find it.
struct Pico {
  private(set) var tensors: [NamedValues] = []
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  /// Adds a target of random factors.
  ///
  /// - Parameters:
  ///   - kernel: the kernel's extents; empty for a target stored as a matrix.
  ///   - mid: the second rank of a Tucker target, whose first is `rank`.
  ///   - alpha: `nil` for no alpha tensor.
  mutating func add(
    _ name: String, rows: Int, inputs: Int, rank: Int, kernel: [Int] = [], mid: Int? = nil, alpha: Double? = nil,
    upType: DType = .f32, downType: DType = .f32, size: Double = 1
  ) {
    let ones = kernel.map { _ in 1 }
    func values(_ shape: [Int]) -> [Double] { random.gaussians(shape.reduce(1, *)).map { $0 * size } }
    let up = [rows, rank] + ones, down = [mid ?? rank, inputs] + (mid == nil ? kernel : ones)
    tensors.append(("\(name).lora_up.weight", up, upType, values(up)))
    tensors.append(("\(name).lora_down.weight", down, downType, values(down)))
    if let mid {
      let core = [rank, mid] + kernel
      tensors.append(("\(name).lora_mid.weight", core, downType, values(core)))
    }
    if let alpha { tensors.append(("\(name).alpha", [], .f32, [alpha])) }
  }

  /// Changes the values of the tensor called `name`.
  mutating func change(_ name: String, _ body: (inout [Double]) -> Void) {
    let place = tensors.firstIndex { $0.name == name }!
    body(&tensors[place].values)
  }

  func write(to path: String) throws -> Adapter {
    try writeAdapter(to: path, tensors: tensors)
    return try Adapter(path: path)
  }
}

extension Target {
  /// The delta as a matrix of rows × columns, summed term by term as the definition says.
  var dense: [Double] {
    let up = up.doubles(), down = down.doubles(), core = mid?.doubles()
    let rank = rank, second = self.down.shape[0], inputs = inputs, kernelSize = kernel.reduce(1, *)
    var result = [Double](repeating: 0, count: rows * columns)
    for o in 0..<rows {
      for i in 0..<inputs {
        for k in 0..<kernelSize {
          var sum = 0.0
          for p in 0..<rank {
            if let core {
              for q in 0..<second {
                sum += up[o * rank + p] * core[(p * second + q) * kernelSize + k] * down[q * inputs + i]
              }
            } else {
              sum += up[o * rank + p] * down[(p * inputs + i) * kernelSize + k]
            }
          }
          result[(o * inputs + i) * kernelSize + k] = scale * sum
        }
      }
    }
    return result
  }
}

/// ⟨a, b⟩.
func inner(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
