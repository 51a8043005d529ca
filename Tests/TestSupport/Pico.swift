public import Adapters
import FoundationEssentials
public import Tensors

/// A small adapter made in code, in one of the dialects.
public struct Pico {
  public enum Names: Sendable { case kohya, diffusers, cloneofsimo }

  public private(set) var tensors: [NamedValues] = []
  public var metadata: [(key: String, value: String)] = []
  private let names: Names
  private var random: SplitMix64

  public init(seed: UInt64, _ names: Names = .kohya) { (random, self.names) = (SplitMix64(seed: seed), names) }

  /// Adds a target of random factors.
  ///
  /// - Parameters:
  ///   - kernel: the kernel's extents; empty for a target stored as a matrix.
  ///   - mid: the second rank of a Tucker target, whose first is `rank`.
  ///   - alpha: `nil` for no alpha tensor.
  ///   - downType: the other factors' number format, where it is another.
  ///   - size: of the up factor; `downSize` of the others.
  ///   - decay: component j is this to the power of j as large as the first.
  public mutating func add(
    _ name: String, rows: Int, inputs: Int, rank: Int, kernel: [Int] = [], mid: Int? = nil, alpha: Double? = nil,
    dtype: DType = .f32, downType: DType? = nil, size: Double = 1, downSize: Double = 1, decay: Double = 0.8
  ) {
    let ones = kernel.map { _ in 1 }
    let up = [rows, rank] + ones, down = [mid ?? rank, inputs] + (mid == nil ? kernel : ones)
    let ends =
      switch names {
      case .kohya: [".lora_up.weight", ".lora_down.weight"]
      case .diffusers: [".lora_B.weight", ".lora_A.weight"]
      case .cloneofsimo: [":up", ":down"]
      }
    var ups = random.gaussians(rows * rank), factor = size
    for component in 0..<rank {
      for row in 0..<rows { ups[row * rank + component] *= factor }
      factor *= decay
    }
    add(name + ends[0], up, dtype, ups)
    func others(_ shape: [Int]) -> [Double] { random.gaussians(shape.reduce(1, *)).map { downSize * $0 } }
    add(name + ends[1], down, downType ?? dtype, others(down))
    if let mid {
      add(name + ".lora_mid.weight", [rank, mid] + kernel, downType ?? dtype, others([rank, mid] + kernel))
    }
    if let alpha { add(name + ".alpha", [], .f32, [alpha]) }
  }

  /// Adds a tensor as it is.
  public mutating func add(_ name: String, _ shape: [Int], _ dtype: DType, _ values: [Double]) {
    tensors.append((name, shape, dtype, values))
  }

  /// Changes the values of the tensor called `name`.
  public mutating func change(_ name: String, _ body: (inout [Double]) -> Void) {
    let place = tensors.firstIndex { $0.name == name }!
    body(&tensors[place].values)
  }

  @discardableResult
  public func write(to path: String) throws -> Adapter {
    try writeAdapter(to: path, tensors: tensors, metadata: metadata)
    return try Adapter(path: path)
  }

  /// Writes a PEFT folder with the given configuration.
  @discardableResult
  public func writeFolder(_ path: String, configuration: String) throws -> Adapter {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try writeAdapter(to: path + "/adapter_model.safetensors", tensors: tensors, metadata: metadata)
    try Data(configuration.utf8).write(to: URL(filePath: path + "/adapter_config.json"))
    return try Adapter(path: path)
  }
}

extension Target {
  /// The delta as a matrix of rows × columns, summed term by term as the definition says.
  public var dense: [Double] { dense(components: rank) }

  /// The same with the leading components only.
  public func dense(components: Int) -> [Double] {
    let up = up.doubles(), down = down.doubles(), core = mid?.doubles()
    let rank = rank, second = self.down.shape[0], inputs = inputs, kernelSize = kernel.reduce(1, *)
    var result = [Double](repeating: 0, count: rows * columns)
    for o in 0..<rows {
      for i in 0..<inputs {
        for k in 0..<kernelSize {
          var sum = 0.0
          for p in 0..<components {
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
public func inner(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

/// Σ strengthₜ · deltaₜ.
public func sum(_ deltas: [[Double]], _ strengths: [Double]) -> [Double] {
  deltas[0].indices.map { place in zip(deltas, strengths).reduce(0) { $0 + $1.0[place] * $1.1 } }
}
