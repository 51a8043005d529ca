/// One network of a model.
public enum Component: String, Sendable, Comparable, CaseIterable {
  /// The UNet or transformer that predicts noise; also the only network of other models.
  case denoiser
  /// The second transformer of two-stage models.
  case denoiser2
  case textEncoder1, textEncoder2, textEncoder3
  /// The autoencoder between pictures and latents.
  case vae
  /// What no adapter speaks about: averages for training, image encoders, tables of constants.
  case other

  /// Whether it reads prompts: adapters may be used there with another strength.
  public var isTextEncoder: Bool { self == .textEncoder1 || self == .textEncoder2 || self == .textEncoder3 }

  /// The text encoders of single files, by what ComfyUI calls them: `text_encoders.t5xxl.transformer.` stands before their names.
  package static let namedTextEncoders: [(name: String, component: Component)] =
    [("clip_g", .textEncoder2), ("t5xxl", .textEncoder3), ("umt5xxl", .textEncoder3), ("byt5_small", .textEncoder2)]
    + [
      "clip_l", "llama", "qwen3_06b", "qwen3_2b", "qwen3_4b", "qwen3_8b", "qwen25_3b", "qwen25_7b", "qwen3vl_2b",
      "qwen3vl_4b", "qwen3vl_8b", "gemma2_2b", "gemma3_4b", "gemma3_12b", "mistral3_24b", "ministral3_3b",
    ].map { ($0, .textEncoder1) }

  /// For people: `UNet or transformer`, `text encoder 2`.
  public var title: String {
    switch self {
    case .denoiser: "UNet or transformer"
    case .denoiser2: "second transformer"
    case .textEncoder1: "text encoder 1"
    case .textEncoder2: "text encoder 2"
    case .textEncoder3: "text encoder 3"
    case .vae: "VAE"
    case .other: "other tensors"
    }
  }

  /// By `rawValue`: a fixed order for lists and keys, without a meaning.
  public static func < (a: Component, b: Component) -> Bool { a.rawValue < b.rawValue }
}
