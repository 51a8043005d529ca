import Synchronization
import Tensors

/// The kind of model that a base checkpoint is, and that an adapter belongs to.
///
/// All that is particular to one stands in its file, in `Families`.
public struct Family: Hashable, Sendable, CustomStringConvertible {
  /// Its place among all.
  private let number: Int

  var facts: FamilyFacts { FamilyFacts.all[number] }

  /// In the order of the program's list, with `unknown` and `languageModel` among them.
  public static let all = FamilyFacts.all.indices.map { Family(number: $0) }

  private init(number: Int) { self.number = number }

  /// - Precondition: there is a family of this name.
  private init(_ name: String) { number = FamilyFacts.all.firstIndex { $0.name == name }! }

  /// A model that no rule knows.
  public static let unknown = Family("unknown")
  /// Transformers of text, which have no map of names: adapters keep the names of the base.
  public static let languageModel = Family("language model")

  /// For people: `Flux.1`.
  public var name: String { facts.name }

  /// As `name`, so that messages can have it in a sentence.
  public var description: String { name }

  /// The family by its name as a user may write it: `flux1`, `Flux.1`, `ltx-video`.
  public init?(named name: String) {
    func plain(_ text: String) -> String { text.lowercased().filter { $0.isLetter || $0.isNumber } }
    let name = plain(name)
    guard let family = Self.withNames.first(where: { plain($0.name) == name || plain($0.optionName) == name })
    else { return nil }
    self = family
  }

  /// The families whose names are known in both dialects, by their names.
  public static let withNames = all.filter(\.hasNames)

  /// Its name for a command line: `flux1`.
  public var optionName: String { facts.text("option") ?? name }

  /// With its article, for sentences: `an SDXL`.
  public var withArticle: String { "\(facts.text("article") ?? "a") \(name)" }

  /// What diffusers calls its denoiser: `_class_name` of configurations.
  public var classNames: [String] {
    hasUNet ? ["UNet2DConditionModel"] : facts.words("class").map { String($0) }
  }

  // MARK: Networks and names

  /// Whether its authors and diffusers have the same names for everything.
  public var hasOneLayout: Bool { denoiserMaps.flatMap(\.rules).allSatisfy { $0.rights == [$0.left] } }

  /// Whether its denoiser is one of Stable Diffusion's UNets.
  public var hasUNet: Bool { facts.text("network") == "unet" }

  /// Whether the names of its modules are known.
  public var hasNames: Bool { hasUNet || facts.namesText != nil }

  /// Whether its denoiser is a transformer with two layouts of names.
  package var hasTransformer: Bool { facts.namesText != nil }

  /// The maps of its denoiser's names. Every one has diffusers' names on the right.
  package var denoiserMaps: [NameMap] {
    (facts.namesText == nil ? [] : [.own(of: self)]) + facts.words("layout").map { NameMap.shared(String($0)) }
  }

  /// Whether modules that its maps have no names for come along.
  var hasNeighbours: Bool { facts.text.includes("\nbeside ") }

  /// Whether all of these words occur somewhere in its maps. Where one does not, it has no module of such a name, and its maps
  /// need not be read.
  func mentions(_ words: [String]) -> Bool {
    var texts = [facts.text] + facts.words("layout").map { NameMap.text(named: String($0)) }, next = 0
    while next < texts.count {
      texts += NameMap.included(in: texts[next]).map { NameMap.text(named: $0) }
      next += 1
    }
    return words.allSatisfy { word in texts.contains { $0.includes(word) } }
  }

  /// Names in its maps that are written where others of the same modules are only read.
  var writtenNames: [Substring] { facts.words("writes") }

  package func maps(of component: Component) -> [NameMap] {
    switch component {
    case .denoiser, .denoiser2: denoiserMaps
    case .textEncoder1, .textEncoder2, .textEncoder3: [.openCLIP, .clipText, .t5, .languageModel, .visionLanguageModel]
    case .vae: [.autoencoderKL, .autoencoderKLEarly]
    case .other: []
    }
  }

  /// The family whose names are tried: an unknown one may be one of Stable Diffusion's.
  package var namesake: Family { self == .unknown ? .sd1 : self }

  /// Whether kohya's trainers call its modules as the original authors do.
  package var kohyaUsesOriginalNames: Bool { hasNames && facts.text("kohya-names") != "diffusers" }

  /// Whether kohya's names do not number its only text encoder.
  package var hasOneTextEncoder: Bool { facts.has("one-text-encoder") }

  /// How wide the heads of a fused projection are that a trainer takes head by head; `nil` for all other modules.
  package func interleavedHeadWidth(of path: String) -> Int? {
    facts.all("interleaved").first { path.hasSuffix($0[0]) }.flatMap { Int($0[1]) }
  }

  /// What ComfyUI calls its text encoder, where that is a language model.
  package var languageModelEncoder: String? { facts.text("text-encoder") }

  /// Whether a module's name with dots stands without the beginning that its dialect puts before others.
  package func standsAlone(_ module: String) -> Bool { facts.words("alone").contains(where: module.hasPrefix) }

  /// Whether trainers differ in how they number its text encoders.
  package var numbersTextEncodersFreely: Bool { facts.has("any-text-encoder") }

  /// What diffusers' pipeline calls T5, where it has other text encoders too; `nil` where its file does not say.
  package var t5InDiffusers: Component? {
    switch facts.text("t5") {
    case "text_encoder_3": .textEncoder3
    case "text_encoder_2": .textEncoder2
    default: nil
    }
  }

  /// How many times as wide as its input the first layer of a perceptron is, where that is the same in all of its models.
  package var perceptronWidth: Int? { facts.number("perceptron").map { Int($0) } }

  /// Whether it takes another family's adapters.
  package func takesAdapters(of other: Family) -> Bool { facts.text("takes-adapters-of") == other.name }

  /// Whether a name in its text encoder is one that nothing uses.
  package func leavesUnused(_ path: String) -> Bool {
    facts.words("unused").contains { path.hasPrefix($0) || ($0.hasSuffix(".") && path.includes(String($0))) }
  }

  /// The blocks that lists of block weights mean: `IN00`, `IN01` …
  package var blockLists: [[String]] {
    facts.all("blocks").map { words in
      words.flatMap { word -> [String] in
        let label = word.prefix { $0.isLetter }, numbers = word.dropFirst(label.count)
        guard numbers.contains(where: { $0 == "-" || $0 == "," }) else { return [String(word)] }
        return numbers.split(separator: ",").flatMap { part -> [String] in
          let ends = part.split(separator: "-").map { Int($0)! }
          return (ends[0]...ends[ends.count - 1]).map { "\(label)\($0 < 10 ? "0" : "")\($0)" }
        }
      }
    }
  }

  // MARK: Metadata

  /// As kohya's trainers write it: `ss_base_model_version`.
  package var kohyaVersion: String? { facts.text("kohya-version") }

  /// What else kohya's trainers say of it.
  package var kohyaMetadata: [(key: String, value: String)] {
    facts.all("kohya-metadata").map { (String($0[0]), $0.dropFirst().joined(separator: " ")) }
  }

  /// As the model metadata specification 1.0.1 names it.
  package var architecture: String? { facts.text("architecture") }

  // MARK: Other programs

  /// Whether a program reads a dialect for this family, unlike for others.
  package func isRead(by program: String, in dialect: String) -> Bool {
    facts.all("read-by").contains([program[...], dialect[...]])
  }

  /// Whether a program passes over a dialect for this family, unlike for others.
  package func isPassedOver(by program: String, in dialect: String) -> Bool {
    facts.all("passed-over-by").contains([program[...], dialect[...]])
  }

  /// Whether diffusers reads kohya's names as it does for SDXL.
  package var hasXLLoader: Bool { facts.text("diffusers-loader") == "xl" }

  // MARK: Rendering

  /// Whether it only goes on with what another model began.
  package var isNoBaseModel: Bool { facts.has("not-a-base-model") }

  /// What latents are multiplied by, where the model's folder does not say so.
  package var latentScale: Double? { facts.number("latent-scale") }
}

extension NameMap {
  private static let read = Mutex<[String: NameMap]>([:])

  /// A map that is made when it is first asked for.
  private static func map(_ name: String, _ text: () -> String) -> NameMap {
    read.withLock { read in
      if let map = read[name] { return map }
      let map = NameMap(name: name, text: text())
      read[name] = map
      return map
    }
  }

  /// The map in a family's file.
  static func own(of family: Family) -> NameMap { map(family.name) { String(family.facts.namesText!) } }

  /// A map that several families have.
  static func shared(_ name: String) -> NameMap { map(name) { text(named: name) } }

  /// The lines of a map in `Names`.
  static func text(named name: String) -> String { String(decoding: texts[name]!, as: UTF8.self) }

  private static let texts: [String: [UInt8]] = [
    "stable-diffusion-unet": PackageResources.stable_diffusion_unet_map, "cosmos": PackageResources.cosmos_map,
    "flux-double-blocks": PackageResources.flux_double_blocks_map,
    "flux-single-blocks": PackageResources.flux_single_blocks_map,
    "flux-modulation": PackageResources.flux_modulation_map,
    "hunyuan-video-repacked": PackageResources.hunyuan_video_repacked_map,
    "hunyuan-refiner": PackageResources.hunyuan_refiner_map,
    "hunyuan-refiner-repacked": PackageResources.hunyuan_refiner_repacked_map,
    "hunyuan-double-blocks": PackageResources.hunyuan_double_blocks_map,
    "hunyuan-single-blocks": PackageResources.hunyuan_single_blocks_map,
    "hunyuan-glyphs": PackageResources.hunyuan_glyphs_map,
    "hunyuan-video-1.5-embedders": PackageResources.hunyuan_video_1_5_embedders_map,
    "hunyuan-video-1.5-authors": PackageResources.hunyuan_video_1_5_authors_map,
    "hunyuan-image-authors": PackageResources.hunyuan_image_authors_map,
    "krea2-fused": PackageResources.krea2_fused_map, "ace-step-decoder": PackageResources.ace_step_decoder_map,
    "openclip": PackageResources.openclip_map, "clip-text": PackageResources.clip_text_map,
    "t5": PackageResources.t5_map, "language-model": PackageResources.language_model_map,
    "vision-language-model": PackageResources.vision_language_model_map,
    "text-encoders": PackageResources.text_encoders_map,
    "autoencoder-kl": PackageResources.autoencoder_kl_map,
    "autoencoder-kl-early": PackageResources.autoencoder_kl_early_map,
  ]

  /// The maps that a map's lines name.
  static func included(in text: String) -> [String] {
    guard text.includes("\ninclude ") else { return [] }
    return text.split(separator: "\n").filter { $0.hasPrefix("include ") }.map { String($0.dropFirst(8)) }
  }

  /// Maps that say what block weights call their blocks.
  static let withBlocks = Family.all.filter { !$0.blockLists.isEmpty }.flatMap(\.denoiserMaps)

  package static var stableDiffusionUNet: NameMap { shared("stable-diffusion-unet") }
  static var openCLIP: NameMap { shared("openclip") }
  static var clipText: NameMap { shared("clip-text") }
  static var t5: NameMap { shared("t5") }
  static var languageModel: NameMap { shared("language-model") }
  static var visionLanguageModel: NameMap { shared("vision-language-model") }
  static var textEncoders: NameMap { shared("text-encoders") }
  static var autoencoderKL: NameMap { shared("autoencoder-kl") }
  static var autoencoderKLEarly: NameMap { shared("autoencoder-kl-early") }
}
