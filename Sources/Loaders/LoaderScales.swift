public import Adapters
import Models

/// What each loader multiplies the product of every target's factors by, when it is given the file as it is.
///
/// Source: sd-scripts 48d368f, diffusers 0.42.1 and PEFT 0.21.2 (run), ComfyUI (`model_lora_keys_unet`) and
/// AUTOMATIC1111's `load_network`, read. Only plain LoRA targets are looked at.
public struct LoaderScales: Sendable {
  /// Programs that load adapters, each with rules of its own.
  public enum Loader: String, Sendable, CaseIterable {
    case sdScripts = "sd-scripts"
    case diffusers, peft, comfyui, a1111
  }

  /// One target with what each loader makes of it; loaders that pass it over are not in it.
  public struct Row: Sendable {
    /// As the adapter spells it.
    public let target: String
    /// What each loader multiplies up · down by.
    public let scales: [Loader: Double]
  }

  /// Of plain LoRA targets, in the adapter's order.
  public let rows: [Row]
  /// For each loader, why it loads nothing of the file; absent where it loads something.
  public let refusals: [Loader: String]

  /// Targets for which loaders that load the file differ, or which one of them passes over.
  public var disagreements: [Row] {
    let loading = Loader.allCases.filter { refusals[$0] == nil }
    return rows.filter { row in
      let scales = loading.map { row.scales[$0] }
      return scales.contains { $0 != scales[0] }
    }
  }

  /// How many targets each loader passes over that it reads in the file before.
  public func lost(since before: LoaderScales) -> [(loader: Loader, count: Int)] {
    let earlier = Dictionary(before.rows.map { ($0.target, $0.scales) }, uniquingKeysWith: { a, _ in a })
    return Loader.allCases.compactMap { loader in
      let count = rows.count { $0.scales[loader] == nil && earlier[$0.target]?[loader] != nil }
      return count > 0 ? (loader, count) : nil
    }
  }

  /// Reads shapes, alphas and the configuration only, no weights.
  public init(of adapter: Adapter) {
    let reader = ScaleReader(adapter)
    let plain = adapter.targets.filter { $0.algorithm == .lora }
    rows = plain.map { target in
      var scales: [Loader: Double] = [:]
      for loader in Loader.allCases { scales[loader] = reader.scale(of: target, in: loader) }
      return Row(target: target.name, scales: scales)
    }
    var refusals: [Loader: String] = [:]
    // A file without plain LoRA says nothing about what loaders make of it.
    for loader in Loader.allCases where !plain.isEmpty && !rows.contains(where: { $0.scales[loader] != nil }) {
      refusals[loader] =
        (loader == .diffusers ? reader.diffusersScales?.refusal ?? reader.encoderRefusal : nil)
        ?? "reads no \(adapter.format.rawValue) names" + (reader.isBare ? " without a network before them" : "")
    }
    self.refusals = refusals
  }

  /// What the owner of the file should know.
  public func problems(in adapter: Adapter) -> [AdapterProblem] {
    var problems = disagreements.map { row in
      AdapterProblem(
        .loadersDisagree(
          scales: Loader.allCases.filter { refusals[$0] == nil }.map { loader in
            (loader.rawValue, row.scales[loader])
          }.grouped, needsOtherNames: row.scales.count + refusals.count < Loader.allCases.count), target: row.target)
    }
    if refusals.count == Loader.allCases.count { problems.append(AdapterProblem(.loadsNowhere)) }
    return problems
  }
}

/// The rules of the loaders.
private struct ScaleReader {
  let adapter: Adapter
  /// Whether dotted names begin with a module, not with the network that it is in.
  let isBare: Bool
  /// For kohya's names of Stable Diffusion.
  let diffusersScales: DiffusersScales?
  /// Why diffusers stops at a file with its own names.
  let encoderRefusal: String?

  init(_ adapter: Adapter) {
    self.adapter = adapter
    isBare =
      adapter.format == .diffusers
      && adapter.targets.contains { target in
        ["down_blocks.", "mid_block.", "up_blocks.", "transformer_blocks.", "single_transformer_blocks."]
          .contains { target.name.hasPrefix($0) }
      }
    diffusersScales =
      adapter.format == .kohya && Self.isStableDiffusion(adapter) ? DiffusersScales(adapter) : nil
    encoderRefusal = Self.encoderRefusal(of: adapter)
  }

  /// It tells the kind of a CLIP text encoder's names by those of attention alone.
  private static func encoderRefusal(of adapter: Adapter) -> String? {
    guard adapter.format == .diffusers else { return nil }
    for component in [Component.textEncoder1, .textEncoder2] {
      let own = adapter.targets.filter { $0.key.component == component }
      if !own.isEmpty, own.allSatisfy({ $0.key.path.includes("_mlp_") && $0.names.down.hasSuffix(".lora_A.weight") }) {
        return "stops at the \(component.title), of which only mlp changes"
      }
    }
    return nil
  }

  func scale(of target: Target, in loader: LoaderScales.Loader) -> Double? {
    switch loader {
    case .sdScripts: sdScripts(target)
    case .diffusers: diffusers(target)
    case .peft: adapter.format == .peft && adapter.configuration != nil ? target.scale : nil
    case .comfyui: readsInComfyUI(target) ? fromTensors(target) : nil
    case .a1111: readsInA1111(target) ? (hasScaleTensor(target) ? target.scale : fromTensors(target)) : nil
    }
  }

  /// α ÷ r from an alpha tensor; 1 without one. Configurations and `.scale` are not looked at.
  private func fromTensors(_ target: Target) -> Double {
    guard target.names.alpha != nil, let alpha = target.alpha else { return 1 }
    return alpha / Double(target.down.shape[0])
  }

  private func hasScaleTensor(_ target: Target) -> Bool { target.names.alpha?.hasSuffix(".scale") == true }

  private var isStableDiffusion: Bool { adapter.family.hasUNet }

  /// Also when the family is not known, but all targets have names of its networks.
  private static func isStableDiffusion(_ adapter: Adapter) -> Bool {
    adapter.family.hasUNet
      || adapter.family == .unknown && adapter.targets.allSatisfy { $0.key.component.isTextEncoder || hasUNetName($0) }
  }

  private static func hasUNetName(_ target: Target) -> Bool {
    [
      "down_blocks_", "mid_block_", "up_blocks_", "conv_in", "conv_out", "time_embedding_linear_",
      "add_embedding_linear_",
    ].contains(where: target.key.path.hasPrefix)
  }

  private func isUNet(_ target: Target) -> Bool {
    !target.key.component.isTextEncoder && (isStableDiffusion || Self.hasUNetName(target))
  }

  // MARK: sd-scripts

  private func sdScripts(_ target: Target) -> Double? {
    guard adapter.format == .kohya,
      ["lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lora_te3_"].contains(where: target.name.hasPrefix)
    else { return nil }
    // Its SDXL has the original authors' names only, and so have its transformers.
    let module = target.name.dropping(prefix: "lora_unet_")
    let family = adapter.family, hasOwnNames = family.kohyaVersion != nil && family.kohyaUsesOriginalNames
    let namesOfDiffusers = [
      "down_blocks_", "mid_block_", "up_blocks_", "transformer_blocks_", "single_transformer_blocks_",
    ]
    if hasOwnNames, namesOfDiffusers.contains(where: module.hasPrefix) { return nil }
    let scale = fromTensors(target)
    return scale == 0 ? 1 : scale
  }

  // MARK: diffusers

  private func diffusers(_ target: Target) -> Double? {
    switch adapter.format {
    case .kohya:
      if let diffusersScales { return diffusersScales.scale(of: target) }
      // It has no rule for kohya's names of SD3, and none for T5.
      let isPassedOver = adapter.family.isPassedOver(by: "diffusers", in: "kohya")
      return isPassedOver || target.key.component == .textEncoder3 ? nil : fromTensors(target)
    case .diffusers:
      if encoderRefusal != nil { return nil }
      return isBare && !target.name.hasPrefix("unet.") && !target.name.hasPrefix("text_encoder") ? nil : target.scale
    case .native: return isUNet(target) || target.key.component.isTextEncoder ? nil : fromTensors(target)
    case .xlabs: return 1
    case .peft, .cloneofsimo: return nil
    }
  }

  // MARK: Interfaces

  private func readsInComfyUI(_ target: Target) -> Bool {
    switch adapter.format {
    case .kohya, .native, .xlabs: true
    case .diffusers:
      // It knows the attention of these networks only under the names that diffusers left in 2023.
      !isUNet(target) || !target.key.path.includes("_to_") || target.name.includes(".processor.")
    case .peft: adapter.family.isRead(by: "comfyui", in: "peft")
    case .cloneofsimo: false
    }
  }

  /// Takes a target for the text before the first dot, so that no dotted name is ever found.
  private func readsInA1111(_ target: Target) -> Bool {
    adapter.format == .kohya && (adapter.family.isRead(by: "a1111", in: "kohya") || adapter.family == .unknown)
  }
}

extension [(String, Double?)] {
  /// `0.5 in diffusers, 1 in comfyui and a1111`
  fileprivate var grouped: String {
    var order: [Double?] = [], loaders: [Double?: [String]] = [:]
    for (loader, scale) in self {
      if loaders[scale] == nil { order.append(scale) }
      loaders[scale, default: []].append(loader)
    }
    return order.map { scale in
      let names = loaders[scale]!.joined(separator: " and ")
      guard let scale else { return "nothing in \(names)" }
      let short = (scale * 1e4).rounded() / 1e4
      return "\(Int(exactly: short).map(String.init) ?? String(short)) in \(names)"
    }.joined(separator: ", ")
  }
}
