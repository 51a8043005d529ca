import Checkpoints
import GGUF
import Tensors

extension BakePlan {
  /// How an output of GGUF stores each tensor; `nil` for an output of safetensors.
  ///
  /// - Throws: `BakingError` for a base of another container, or a format that GGUF has not.
  static func formats(_ base: Checkpoint, _ recipe: BakeRecipe) throws -> [GGUFFormat]? {
    guard recipe.container == .gguf else {
      if recipe.quantises { throw BakingError(.needsGGUFOutput, path: base.path) }
      return nil
    }
    guard base.files.count == 1, !base.isFolder, let file = base.files[0].contents.gguf else {
      throw BakingError(.needsGGUF(kind: base.isFolder ? "a folder" : base.files[0].contents.kind), path: base.path)
    }
    let wanted = try recipe.dtype.map { dtype in
      guard let format = GGUFFormat(dtype) else {
        throw BakingError(.formatOfGGUF(dtype), path: base.path)
      }
      return format
    }
    return zip(base.weights, file.entries).map { weight, entry in
      // Norms, biases and tables are small and need their digits, and programs that read GGUF expect them in F32.
      guard weight.component != .other, entry.shape.rank > 1, entry.format.dtype.unitRoundoff != nil,
        entry.format != .f64, let format = recipe.quantises ? .q8_0 : wanted
      else { return entry.format }
      return (entry.storedShape.extents.last ?? 1) % format.blockSize == 0 ? format : entry.format
    }
  }

  /// Whether a weight's stored bytes can be taken over where nothing is added.
  func keepsFormat(_ index: Int) -> Bool {
    guard let formats else { return true }
    return sourceFormat(index) == formats[index]
  }

  /// The bytes of a weight as a GGUF base has them, for an output of GGUF that keeps its format.
  func storedBytes(_ index: Int) -> Bytes? {
    let weight = base.weights[index]
    guard formats != nil, keepsFormat(index), let file = base.files[weight.file].contents.gguf else { return nil }
    return file.storedBytes(file.entries[index])
  }

  private func sourceFormat(_ index: Int) -> GGUFFormat? {
    base.files[base.weights[index].file].contents.gguf?.entries[index].format
  }
}
