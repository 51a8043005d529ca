import Adapters
import Converting
import Factoring
import Tensors
import TestSupport

/// One conversion from recipe to file.
struct Converting {
  let plan: ConvertPlan
  let result: ConvertResult
  /// The outputs, read again: one, or those of several networks.
  let outputs: [Adapter]

  init(_ recipe: ConvertRecipe, to path: String, overwriting: Bool = false, threads: Int = 2) throws {
    plan = try ConvertPlan(recipe)
    result = try plan.write(to: path, overwriting: overwriting, threads: threads)
    let folders = ["unet", "transformer", "text_encoder", "text_encoder_2"].map { path + "/" + $0 }
    let found = folders.compactMap { try? Adapter(path: $0) }
    outputs = found.isEmpty ? [try Adapter(path: path)] : found
  }

  var output: Adapter { outputs[0] }
  var targets: [Target] { outputs.flatMap(\.targets) }

  func target(_ name: String) throws -> Target {
    guard let target = targets.first(where: { $0.name == name }) else {
      throw Missing(name: name, found: targets.map(\.name))
    }
    return target
  }

  struct Missing: Error {
    let name: String
    let found: [String]
  }
}

extension ConvertRecipe {
  init(_ path: String, _ format: AdapterFormat?, normalises: Bool = false, dtype: DType? = nil, allows: Bool = false) {
    self.init(path: path, format: format, normalises: normalises, dtype: dtype, allowsUnmatched: allows)
  }
}

/// Rows `range` of a dense matrix.
func rows(_ range: Range<Int>, of dense: [Double], columns: Int) -> [Double] {
  Array(dense[range.lowerBound * columns..<range.upperBound * columns])
}
