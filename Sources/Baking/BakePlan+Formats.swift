import Checkpoints
import GGUF
import Tensors

extension BakePlan {
  /// How an output of GGUF stores each tensor; `nil` for an output of safetensors.
  ///
  /// - Throws: `BakingError` for a base of another container, or a format that GGUF has not.
  static func formats(_ base: Checkpoint, _ recipe: BakeRecipe) throws -> [GGUFFormat]? {
    guard recipe.container == .gguf else {
      if let blocks = recipe.blocks { throw BakingError(.needsGGUFOutput(blocks.rawValue), path: base.path) }
      if recipe.writes, base.hasLlamaNames { throw BakingError(.llamaNames, path: base.path) }
      if recipe.requantises { throw BakingError(.requantisesGGUF, path: base.path) }
      return nil
    }
    guard base.files.count == 1, !base.isFolder, let file = base.files[0].contents.gguf else {
      throw BakingError(.needsGGUF(kind: base.isFolder ? "a folder" : base.files[0].contents.kind), path: base.path)
    }
    let wanted = try wantedFormat(base, recipe)
    return zip(base.weights, file.entries).map { weight, entry in
      // Norms, biases and tables are small and need their digits, and programs that read GGUF expect them in F32.
      // Blocks that are coarser than Q8_0 stay where nothing is added: other numbers would only take more room.
      guard !entry.format.isQuantised || entry.format == .q8_0 else { return entry.format }
      guard weight.component != .other, entry.shape.rank > 1, entry.format.dtype.unitRoundoff != nil,
        entry.format != .f64, let format = wanted
      else { return entry.format }
      return entry.holds(format) ? format : entry.format
    }
  }

  /// The same with blocks of other formats turned into what the recipe asks for, where something is added to them.
  ///
  /// - Throws: `BakingError.codes` for codes that can neither be moved nor made anew, and a recipe that names no other format.
  static func formats(
    _ formats: [GGUFFormat]?, changing changed: some Collection<Int>, _ base: Checkpoint, _ recipe: BakeRecipe
  ) throws -> [GGUFFormat]? {
    guard var formats, let entries = base.files[0].contents.gguf?.entries else { return formats }
    let wanted = try wantedFormat(base, recipe)
    for index in changed where formats[index].isQuantised {
      let codec = base.weights[index].quantisation?.codec
      if let wanted, entries[index].holds(wanted) {
        formats[index] = wanted
      } else if recipe.requantises ? formats[index].blocks?.isEncodable != true : codec?.grid == nil {
        throw codes(of: base.weights[index], base)
      }
    }
    return formats
  }

  /// The format that the recipe asks for.
  private static func wantedFormat(_ base: Checkpoint, _ recipe: BakeRecipe) throws(BakingError) -> GGUFFormat? {
    if let blocks = recipe.blocks { return GGUFFormat(blocks) }
    guard let dtype = recipe.dtype else { return nil }
    guard let format = GGUFFormat(dtype) else { throw BakingError(.formatOfGGUF(dtype), path: base.path) }
    return format
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

extension GGUFFile.Entry {
  /// Whether the tensor's rows are whole blocks of a format.
  fileprivate func holds(_ format: GGUFFormat) -> Bool { (storedShape.extents.last ?? 1) % format.blockSize == 0 }
}
