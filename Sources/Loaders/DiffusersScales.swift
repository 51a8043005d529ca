import Adapters
import Models
import Tensors

/// How diffusers scales the targets of a file with kohya's names, for a UNet of Stable Diffusion and its text encoders.
///
/// It gives PEFT the commonest alpha of each network, and a list of the modules that have another. PEFT looks for modules
/// under the names in that list, and does not find those that diffusers spells otherwise: they get the commonest alpha.
///
/// Source: diffusers 0.42.1 (`_maybe_map_sgm_blocks_to_diffusers`, `_convert_non_diffusers_lora_to_diffusers`,
/// `get_peft_kwargs`) with PEFT 0.21.2 and transformers 5.23.0, run for `Tests/Goldens/loaders`.
struct DiffusersScales {
  /// Why it loads nothing of the file.
  let refusal: String?
  private let isXL: Bool
  /// Whether some targets of the UNet have diffusers' names, so that SDXL's loader drops those with the authors' names.
  private let dropsAuthorsNames: Bool
  /// Text encoders whose queries, keys and values keep their old names, which no module has: those in which no `out_proj`
  /// tells diffusers that names are old.
  private let misnamed: Set<Component>
  /// The commonest alpha of each network that has any.
  private let common: [Component: Double]

  /// - Parameter adapter: in kohya's format.
  init(_ adapter: Adapter) {
    refusal = Self.refusal(of: adapter)
    // Trainers write the authors' names for SDXL only.
    isXL =
      adapter.family.hasXLLoader
      || adapter.family == .unknown && adapter.targets.contains { Self.hasAuthorsName($0) }
    dropsAuthorsNames = isXL && adapter.targets.contains { Self.hasDiffusersName($0) }
    misnamed = Set(
      adapter.targets.map(\.key.component).filter { component in
        component.isTextEncoder && !adapter.targets.contains { $0.key.component == component && $0.isOutputOfAttention }
      })
    guard refusal == nil else {
      common = [:]
      return
    }
    var targets = Self.inFileOrder(adapter)
    if dropsAuthorsNames {
      targets.removeAll { Self.hasAuthorsName($0) }
    } else if isXL {
      targets = Self.regrouped(targets)
    }
    var alphas: [Component: [Double]] = [:]
    for target in targets where target.names.alpha != nil {
      if let alpha = target.alpha { alphas[target.key.component, default: []].append(alpha) }
    }
    common = alphas.mapValues(\.mostFrequent)
  }

  /// What the product of the factors is multiplied by; `nil` when the target is passed over.
  func scale(of target: Target) -> Double? {
    guard refusal == nil, !isPassedOver(target) else { return nil }
    guard let common = common[target.key.component] else { return 1 }
    let own = target.names.alpha == nil || isForgotten(target) ? nil : target.alpha
    return (own ?? common) / Double(target.down.shape[0])
  }

  /// Whether the target's own alpha stands in the list under a name that no module has.
  private func isForgotten(_ target: Target) -> Bool {
    switch target.key.component {
    // Its names begin with `text_model` in the list; in transformers since 5.6 no module's name does.
    case .textEncoder1: true
    // Transformers kept that level here, so that only the old names of attention are not found.
    case .textEncoder2: target.key.path.includes("_self_attn_")
    default: ["_attn1_", "_attn2_"].contains(where: target.key.path.includes)
    }
  }

  private func isPassedOver(_ target: Target) -> Bool {
    // It knows the layers for sizes and crops by the authors' names only.
    if target.name.hasPrefix("lora_unet_add_embedding_") { return true }
    if misnamed.contains(target.key.component), target.key.path.includes("_self_attn_") { return true }
    guard Self.hasAuthorsName(target) else { return false }
    // Only SDXL's loader knows the authors' numbers of blocks; the first convolution has a rule of its own.
    return isXL ? dropsAuthorsNames : !target.name.includes("input_blocks_0_0")
  }

  // MARK: Refusals

  /// It takes a file only if all names begin like kohya's, and stops at tensors that are left over.
  private static func refusal(of adapter: Adapter) -> String? {
    let beginnings = ["lora_te_", "lora_unet_", "lora_te1_", "lora_te2_"]
    for target in adapter.targets {
      if target.algorithm != .lora { return "stops at \(target.algorithm.rawValue) (\(target.name))" }
      if !beginnings.contains(where: target.name.hasPrefix) { return "knows no network of \(target.name)" }
      let tensors = [target.names.mid, target.names.alpha?.hasSuffix(".scale") == true ? target.names.alpha : nil]
      if let name = tensors.compactMap(\.self).first { return "stops at \(name)" }
    }
    // Magnitudes of DoRA are left out with a warning, and the rest is loaded.
    let others =
      adapter.unsupported.map { ($0.name, $0.algorithm) } + adapter.dependents.map { ($0.name, $0.algorithm) }
    for (name, algorithm) in others where algorithm != .dora { return "stops at \(algorithm.rawValue) (\(name))" }
    for component in Set(adapter.targets.map(\.key.component)).sorted() where component.isTextEncoder {
      let own = adapter.targets.filter { $0.key.component == component }
      if !own.contains(where: { $0.isOutputOfAttention || $0.key.path.includes("_mlp_") }) {
        return "stops at the \(component.title), of which neither out_proj nor mlp changes"
      }
    }
    return (adapter.unknown.first ?? adapter.passedThrough.first?.name).map { "stops at \($0)" }
  }

  // MARK: Names

  private static func hasAuthorsName(_ target: Target) -> Bool {
    ["input_blocks", "middle_block", "output_blocks"].contains(where: target.name.includes)
  }

  private static func hasDiffusersName(_ target: Target) -> Bool {
    ["down_blocks", "mid_block", "up_blocks"].contains(where: target.name.includes)
  }

  // MARK: Order, which decides between alphas that occur equally often

  /// By the place of `down` in the file: safetensors' own reader goes through the data, not through the header.
  private static func inFileOrder(_ adapter: Adapter) -> [Target] {
    guard adapter.data != nil else { return adapter.targets }
    let places = adapter.targets.map { target in
      target.down.bytes.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    }
    return places.indices.sorted { (places[$0], $0) < (places[$1], $1) }.map { adapter.targets[$0] }
  }

  /// As SDXL's loader renames them: what is outside the numbered blocks, then input, middle and output blocks.
  private static func regrouped(_ targets: [Target]) -> [Target] {
    var outside: [Target] = [], blocks: [String: [(number: Int, target: Target)]] = [:]
    for target in targets {
      let words = target.name.split(separator: "_")
      if hasAuthorsName(target), !target.name.includes("input_blocks_0_0"), words.count > 4, let number = Int(words[4])
      {
        blocks[String(words[2]), default: []].append((number, target))
      } else {
        outside.append(target)
      }
    }
    return outside
      + ["input", "middle", "output"].flatMap { kind in
        let own = blocks[kind] ?? []
        return pythonSetOrder(own.map(\.number)).flatMap { number in own.filter { $0.number == number }.map(\.target) }
      }
  }

  /// The order in which CPython goes through a set of whole numbers below 32 that were added one after the other.
  ///
  /// Source: CPython 3.11, `set_add_entry`: a table of 8 places, of 32 once five numbers are in it; a number's place is its
  /// remainder, and 5·place + 1 is tried next.
  static func pythonSetOrder(_ numbers: [Int]) -> [Int] {
    var distinct: [Int] = []
    for number in numbers where !distinct.contains(number) { distinct.append(number) }
    guard distinct.count < 5 else { return distinct.sorted() }
    var table = [Int?](repeating: nil, count: 8)
    for number in distinct {
      var place = number % 8
      while table[place] != nil { place = (5 * place + 1) % 8 }
      table[place] = number
    }
    return table.compactMap(\.self)
  }
}

extension Target {
  fileprivate var isOutputOfAttention: Bool { key.path.includes("_self_attn_out_proj") }
}

extension [Double] {
  /// The value that occurs most often; the first of equals, as Python's `Counter` has it.
  fileprivate var mostFrequent: Double {
    var counts: [Double: Int] = [:]
    for value in self { counts[value, default: 0] += 1 }
    let most = counts.values.max()
    return first { counts[$0] == most }!
  }
}
