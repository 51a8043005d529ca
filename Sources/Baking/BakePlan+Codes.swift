import Checkpoints
import Codecs
import GGUF
import Tensors

extension BakePlan {
  /// What each of the base's tensors becomes in safetensors; `nil` for one that the output does without.
  ///
  /// - Parameters:
  ///   - changed: weights that something is added to.
  ///   - recoded: those of them that stay codes.
  ///   - dtype: what the recipe asks for.
  ///   - writes: whether there is an output at all.
  /// - Throws: `BakingError.codes` for a change to codes that cannot be written in their place, without a format to widen them to.
  static func outputs(
    _ base: Checkpoint, changing changed: Set<Int>, keeping recoded: Set<Int>, _ dtype: DType?, _ writes: Bool
  ) throws -> [DType?] {
    var outputs: [DType?] = base.weights.map { output($0, dtype) }
    for (index, weight) in base.weights.enumerated() where weight.quantisation != nil && !weight.isInPlace {
      // The numbers of blocks have a container of their own.
      let isBlocks = base.files[weight.file].contents.gguf != nil
      if !isBlocks, !changed.contains(index) || recoded.contains(index) {
        outputs[index] = weight.entry.dtype
      } else if !isBlocks {
        guard let dtype, dtype.bits > 8 else { throw codes(of: weight, base) }
        if writes, let method = base.files[weight.file].quantisationMethod {
          throw BakingError(
            .configuredCodes(
              weight: weight.stored.name, format: weight.quantisation!.codec.name, method: "quant_method \(method)"),
            path: base.path)
        }
        outputs[index] = dtype
      }
    }
    // What says something about codes goes with them.
    for (index, weight) in base.weights.enumerated() {
      guard let owner = weight.owner.map({ base.weights[$0] }), let place = weight.owner else { continue }
      let isLeft =
        owner.quantisation == nil || owner.isInPlace
        ? outputs[place] != owner.entry.dtype
        : changed.contains(place) && !recoded.contains(place) && outputs[place] != nil
      if isLeft { outputs[index] = nil }
    }
    for (index, weight) in base.weights.enumerated() where weight.entry.name.hasSuffix("scaled_fp8") {
      let isScaled = zip(base.weights, outputs).contains {
        base.files[$0.file].folder == base.files[weight.file].folder && $0.quantisation != nil
          && ($1?.bits == 8 || !$0.isInPlace)
      }
      if dtype != nil, !isScaled { outputs[index] = nil }
    }
    return outputs
  }

  private static func output(_ weight: Checkpoint.Weight, _ dtype: DType?) -> DType? {
    let stored = weight.entry.dtype
    guard let dtype, weight.component != .other, stored.unitRoundoff != nil, stored != .f64 else { return stored }
    if weight.isInPlace, dtype.bits == 8 { return stored }
    // Norms, biases and tables are small and need their digits.
    return dtype.bits == 8 && weight.entry.shape.rank < 2 ? stored : dtype
  }

  static func codes(of weight: Checkpoint.Weight, _ base: Checkpoint) -> BakingError {
    BakingError(
      .codes(weight: weight.stored.name, format: weight.quantisation?.codec.name ?? weight.stored.dtype.rawValue),
      path: base.path)
  }

  /// Whether a weight that is stored as codes stays so as it is.
  func keepsCodes(_ index: Int) -> Bool {
    let weight = base.weights[index]
    guard weight.quantisation != nil else { return false }
    if weight.isInPlace { return outputs[index] == weight.entry.dtype }
    if recoded[index] != nil { return true }
    guard weights.additions[index] == nil else { return false }
    return formats == nil ? base.files[weight.file].contents.gguf == nil : keepsFormat(index)
  }

  /// The grids of the changed weights that stay as they are stored but for their codes: those whose codes can be moved, unless
  /// the recipe asks for another format.
  static func recoded(
    _ base: Checkpoint, changing changed: some Collection<Int>, _ formats: [GGUFFormat]?, _ recipe: BakeRecipe
  ) -> [Int: CodeGrid] {
    guard recipe.writes, !recipe.requantises else { return [:] }
    let grids = changed.compactMap { index -> (Int, CodeGrid)? in
      let weight = base.weights[index], blocks = base.files[weight.file].contents.gguf?.entries[index].format
      let isKept = blocks == nil ? formats == nil && recipe.dtype == nil : blocks == formats?[index]
      guard isKept, !weight.isInPlace else { return nil }
      return weight.quantisation?.codec.grid.map { (index, $0) }
    }
    return Dictionary(uniqueKeysWithValues: grids)
  }

  /// Whether a weight that is stored as codes which cannot be written in their place becomes plain numbers.
  func leavesCodes(_ index: Int) -> Bool {
    let weight = base.weights[index]
    return weight.quantisation != nil && !weight.isInPlace && !keepsCodes(index)
  }

  /// The format that a changed weight is stored in, for people.
  func formatName(of index: Int) -> String {
    if recoded[index] != nil, let codec = base.weights[index].quantisation?.codec { return codec.name }
    return formats?[index].name ?? outputs[index]?.rawValue ?? "none"
  }

  /// How an output of safetensors stores one of the base's tensors.
  ///
  /// - Precondition: the output has it.
  func stored(_ index: Int) -> (name: String, dtype: DType, shape: Shape) {
    let weight = base.weights[index]
    return keepsCodes(index)
      ? (weight.stored.name, weight.stored.dtype, weight.stored.shape)
      : (weight.entry.name, outputs[index]!, weight.entry.shape)
  }
}
