/// The kind of model that a base checkpoint is, and that an adapter belongs to.
public enum Family: String, Sendable, CaseIterable {
  case sd1 = "SD1.x"
  case sd2 = "SD2.x"
  case sdxl = "SDXL"
  case sdxlRefiner = "SDXL refiner"
  case sd3 = "SD3"
  case flux1 = "Flux.1"
  case flux2 = "Flux.2"
  case chroma = "Chroma"
  case hunyuanVideo = "HunyuanVideo"
  case wan = "Wan"
  case qwenImage = "Qwen-Image"
  case zImage = "Z-Image"
  case lumina2 = "Lumina2"
  case ltx = "LTX-Video"
  case pixart = "PixArt"
  case sana = "Sana"
  case auraFlow = "AuraFlow"
  case cosmos = "Cosmos-Predict2"
  case languageModel = "language model"
  case unknown

  /// The family by its name as a user may write it: `flux1`, `Flux.1`, `ltx-video`.
  public init?(named name: String) {
    func plain(_ text: String) -> String { text.lowercased().filter { $0.isLetter || $0.isNumber } }
    let name = plain(name)
    guard
      let family = Self.withNames.first(where: { plain($0.rawValue) == name || plain($0.optionName) == name })
    else { return nil }
    self = family
  }

  /// The families whose names are known in both dialects.
  public static let withNames = allCases.filter { !$0.denoiserMaps.isEmpty }

  /// Its name for a command line: `flux1`.
  public var optionName: String { "\(self)".lowercased() }

  /// With its article, for sentences: `an SDXL`.
  public var withArticle: String {
    switch self {
    case .sd1, .sd2, .sd3, .sdxl, .sdxlRefiner, .ltx, .auraFlow: "an \(rawValue)"
    default: "a \(rawValue)"
    }
  }

  /// The maps of its denoiser's names. Every one has diffusers' names on the right.
  var denoiserMaps: [NameMap] {
    switch self {
    case .sd1, .sd2, .sdxl, .sdxlRefiner: [.stableDiffusionUNet]
    case .sd3: [.sd3]
    case .flux1: [.flux1]
    case .flux2: [.flux2]
    case .chroma: [.chroma]
    case .hunyuanVideo: [.hunyuanVideo, .hunyuanVideoRepacked]
    case .wan: [.wan]
    case .zImage: [.zImage]
    case .lumina2: [.lumina2]
    case .ltx: [.ltxVideo]
    case .pixart: [.pixart]
    case .sana: [.sana]
    case .auraFlow: [.auraFlow]
    case .cosmos: [.cosmosPredict2]
    case .qwenImage: [.qwenImage]
    case .languageModel, .unknown: []
    }
  }

  /// The families whose names and shapes all of these modules of a denoiser can be, surest first.
  ///
  /// Stable Diffusion's UNets are not among them: they are told apart by what surrounds them.
  package static func fitting(_ modules: [ChangedModule]) -> [Family] {
    let survey = ModuleSurvey(modules)
    let fits = transformers.compactMap { family, names, signs in
      signs.fit(survey, names: names).map { (family: family, fit: $0) }
    }
    let best = fits.map(\.fit).max()
    return fits.filter { $0.fit == best }.map(\.family)
  }

  private static let transformers: [(Family, ModuleNames, FamilySigns)] = allCases.compactMap { family in
    let maps = family.denoiserMaps
    guard !maps.isEmpty, maps[0].name != NameMap.stableDiffusionUNet.name else { return nil }
    let signs = maps.reduce(into: FamilySigns()) { $0.add($1.signs) }
    return (family, ModuleNames(family: family, component: .denoiser), signs)
  }

  func maps(of component: Component) -> [NameMap] {
    switch component {
    case .denoiser, .denoiser2: denoiserMaps
    case .textEncoder1, .textEncoder2, .textEncoder3: [.openCLIP, .clipText, .t5]
    case .vae: [.autoencoderKL, .autoencoderKLEarly]
    case .other: []
    }
  }
}

extension NameMap {
  private static func embedded(_ name: String, _ bytes: [UInt8]) -> NameMap {
    NameMap(name: name, text: String(decoding: bytes, as: UTF8.self))
  }

  static let stableDiffusionUNet = embedded("stable-diffusion-unet", PackageResources.stable_diffusion_unet_map)
  static let openCLIP = embedded("openclip", PackageResources.openclip_map)
  static let clipText = embedded("clip-text", PackageResources.clip_text_map)
  static let t5 = embedded("t5", PackageResources.t5_map)
  static let autoencoderKL = embedded("autoencoder-kl", PackageResources.autoencoder_kl_map)
  static let autoencoderKLEarly = embedded("autoencoder-kl-early", PackageResources.autoencoder_kl_early_map)
  static let textEncoders = embedded("text-encoders", PackageResources.text_encoders_map)
  static let qwenImage = embedded("qwen-image", PackageResources.qwen_image_map)
  static let sd3 = embedded("sd3", PackageResources.sd3_map)
  static let flux1 = embedded("flux1", PackageResources.flux1_map)
  static let flux2 = embedded("flux2", PackageResources.flux2_map)
  static let chroma = embedded("chroma", PackageResources.chroma_map)
  static let hunyuanVideo = embedded("hunyuan-video", PackageResources.hunyuan_video_map)
  static let hunyuanVideoRepacked = embedded("hunyuan-video-repacked", PackageResources.hunyuan_video_repacked_map)
  static let wan = embedded("wan", PackageResources.wan_map)
  static let zImage = embedded("z-image", PackageResources.z_image_map)
  static let lumina2 = embedded("lumina2", PackageResources.lumina2_map)
  static let ltxVideo = embedded("ltx-video", PackageResources.ltx_video_map)
  static let pixart = embedded("pixart", PackageResources.pixart_map)
  static let sana = embedded("sana", PackageResources.sana_map)
  static let auraFlow = embedded("auraflow", PackageResources.auraflow_map)
  static let cosmosPredict2 = embedded("cosmos-predict2", PackageResources.cosmos_predict2_map)
}
