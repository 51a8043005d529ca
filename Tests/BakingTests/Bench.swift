import Factoring
import FoundationEssentials
import Safetensors
import Tensors
import TestSupport

@testable import Baking

/// A folder with a base, adapters and what is baked from them.
final class Bench {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func path(_ name: String) -> String { folder.file(name) }

  // MARK: Making files

  /// Writes a checkpoint whose tensors stand in the given order.
  @discardableResult
  func base(
    _ tensors: [NamedValues], metadata: [(key: String, value: String)] = [], _ name: String = "base.safetensors"
  ) throws -> String {
    let items = tensors.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.dtype, shape: Shape($0.shape)) }
    let layout = SafetensorsLayout(inOrder: items, metadata: metadata)
    let data = tensors.flatMap {
      Tensor($0.values, shape: Shape($0.shape), dtype: $0.dtype).bytes.withUnsafeBytes(Array.init)
    }
    try makeFolders(for: name)
    return try folder.write(layout.head() + data, to: name)
  }

  @discardableResult
  func adapter(_ changes: [Change], _ name: String = "adapter.safetensors") throws -> String {
    try makeFolders(for: name)
    try writeAdapter(to: path(name), tensors: changes.flatMap(\.tensors))
    return path(name)
  }

  func text(_ text: String, to name: String) throws {
    try makeFolders(for: name)
    try folder.write(Array(text.utf8), to: name)
  }

  private func makeFolders(for name: String) throws {
    guard let slash = name.lastIndex(of: "/") else { return }
    try FileManager.default.createDirectory(atPath: path(String(name[..<slash])), withIntermediateDirectories: true)
  }

  // MARK: Baking

  @discardableResult
  func bake(
    _ inputs: [AdapterInput], base: String = "base.safetensors", to output: String = "out.safetensors",
    dtype: DType? = nil, rounding: Rounding = .nearest, undo: String? = nil, allowsUnmatched: Bool = false,
    threads: Int = 2
  ) throws -> BakeResult {
    let plan = try BakePlan(
      BakeRecipe(
        base: path(base), inputs: inputs, dtype: dtype, rounding: rounding, seed: 7, allowsUnmatched: allowsUnmatched))
    return try plan.write(to: path(output), undo: undo.map(path), overwriting: true, threads: threads)
  }

  func unbake(_ baked: String = "out.safetensors", undo: String = "undo", to output: String = "back.safetensors") throws
  {
    _ = try Unbake(baked: path(baked), undo: UndoFile(path: path(undo))).write(
      to: path(output), overwriting: true, threads: 2)
  }

  // MARK: Reading

  func file(_ name: String = "out.safetensors") throws -> SafetensorsFile { try SafetensorsFile(path: path(name)) }

  func values(_ tensor: String, _ name: String = "out.safetensors") throws -> [Double] {
    try file(name)[tensor]?.doubles() ?? []
  }

  func bytes(_ tensor: String, _ name: String = "out.safetensors") throws -> [UInt8] {
    try file(name)[tensor]?.bytes.withUnsafeBytes(Array.init) ?? []
  }

  /// The message of what `work` throws.
  func refusal(_ work: () throws -> Void) -> String {
    do { try work() } catch { return "\(error)".replacing(folder.path + "/", with: "") }
    return "nothing was refused"
  }
}

/// A target of random factors, and its delta by the definition.
struct Change {
  var tensors: [NamedValues]
  /// Row-major, scale included.
  let delta: [Double]

  /// - Parameters:
  ///   - kernel: empty for a target stored as a matrix.
  ///   - mid: the second rank of a Tucker target.
  ///   - ends: what the two factors are called behind the name.
  init(
    _ name: String, _ rows: Int, _ inputs: Int, rank: Int = 2, kernel: [Int] = [], mid: Int? = nil,
    alpha: Double? = nil, size: Double = 1, seed: UInt64 = 1, dtype: DType = .f32,
    ends: (up: String, down: String) = (".lora_up.weight", ".lora_down.weight")
  ) {
    var generator = SplitMix64(seed: seed)
    let area = kernel.reduce(1, *), inner = mid ?? rank, ones = kernel.map { _ in 1 }
    func stored(_ values: [Double]) -> [Double] { Tensor(values, shape: [values.count], dtype: dtype).doubles() }
    let up = stored(generator.gaussians(rows * rank).map { $0 * size })
    let down = stored(generator.gaussians(inner * inputs * (mid == nil ? area : 1)))
    let core = mid.map { stored(generator.gaussians(rank * $0 * area)) }
    tensors = [
      (name + ends.up, [rows, rank] + ones, dtype, up),
      (name + ends.down, [inner, inputs] + (mid == nil ? kernel : ones), dtype, down),
    ]
    if let core, let mid { tensors.append((name + ".lora_mid.weight", [rank, mid] + kernel, dtype, core)) }
    if let alpha { tensors.append((name + ".alpha", [], .f32, [alpha])) }
    let scale = alpha.map { $0 / Double(inner) } ?? 1
    var delta = [Double](repeating: 0, count: rows * inputs * area)
    for o in 0..<rows {
      for i in 0..<inputs {
        for k in 0..<area {
          var sum = 0.0
          for p in 0..<rank {
            if let core {
              for q in 0..<inner { sum += up[o * rank + p] * core[(p * inner + q) * area + k] * down[q * inputs + i] }
            } else {
              sum += up[o * rank + p] * down[(p * inputs + i) * area + k]
            }
          }
          delta[(o * inputs + i) * area + k] = scale * sum
        }
      }
    }
    self.delta = delta
  }
}

/// a + factor · b.
func plus(_ a: [Double], _ b: [Double], _ factor: Double = 1) -> [Double] { zip(a, b).map { $0 + factor * $1 } }
