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
      // Formats that are read only stay where nothing is added.
      guard entry.format.isWritable else { return entry.format }
      guard weight.component != .other, entry.shape.rank > 1, entry.format.dtype.unitRoundoff != nil,
        entry.format != .f64, let format = recipe.quantises ? .q8_0 : wanted
      else { return entry.format }
      return (entry.storedShape.extents.last ?? 1) % format.blockSize == 0 ? format : entry.format
    }
  }

  /// The same with weights of formats that cannot be written widened, where something is added to them.
  ///
  /// - Throws: `BakingError.codes` for a recipe that does not say to what.
  static func formats(
    _ formats: [GGUFFormat]?, changing changed: some Collection<Int>, _ base: Checkpoint, _ recipe: BakeRecipe
  ) throws -> [GGUFFormat]? {
    guard var formats else { return nil }
    for index in changed.sorted() where !formats[index].isWritable {
      let wanted = recipe.quantises ? .q8_0 : recipe.dtype.flatMap { GGUFFormat($0) }
      guard let wanted else { throw codes(of: base.weights[index], base) }
      formats[index] = wanted
    }
    return formats
  }

  /// Whether a weight's stored bytes can be taken over where nothing is added.
  func keepsFormat(_ index: Int) -> Bool {
    guard let formats else { return base.weights[index].quantisation == nil || keepsCodes(index) }
    return sourceFormat(index) == formats[index]
  }

  private func sourceFormat(_ index: Int) -> GGUFFormat? {
    base.files[base.weights[index].file].contents.gguf?.entries[index].format
  }
}
