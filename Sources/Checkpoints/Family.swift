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
    case .flux1: [.flux1]
    default: []
    }
  }

  func maps(of component: Component) -> [NameMap] {
    switch component {
    case .denoiser, .denoiser2: denoiserMaps
    case .textEncoder1, .textEncoder2, .textEncoder3: [.openCLIP]
    case .vae: [.autoencoderKL]
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
  static let autoencoderKL = embedded("autoencoder-kl", PackageResources.autoencoder_kl_map)
  static let flux1 = embedded("flux1", PackageResources.flux1_map)
}
