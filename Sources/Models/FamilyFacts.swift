import Tensors

/// What is known of a family: its file, read.
///
/// A file has a fact to a line, a word and what it says, and behind a line `names` the map of its names (`NameMap`):
///
/// - `family`, `article`, `option`: what people and the command line call it;
/// - `network unet`: what its denoiser is, where it is no transformer;
/// - `class`: `_class_name`s of diffusers' configurations; of families that share one, `base` tells;
/// - `base`, `base-not`: weights of a denoiser that tell it, all of a line; and those of its kin that must not be there;
/// - `context`: width of the texts that a UNet sees, which tells it;
/// - `claim`: words of training metadata;
/// - `layout`: more maps of its names, in `Names`; `writes`: names that go before others of the same modules there;
/// - `alone`: beginnings of names that stand without their dialect's usual beginning: parts that a pipeline has in folders of
///   their own, and what a single file has beside the denoiser;
/// - `interleaved`: the end of a fused projection's name, and the width of its heads, where a trainer keeps queries, keys and values
///   of each head together;
/// - `text-encoder`: what ComfyUI calls its text encoder, whose layers are a language model's;
/// - `kohya-names`: what kohya's trainers call its modules: as the `original` authors do, which goes without saying, or `diffusers`;
/// - `one-text-encoder`, `any-text-encoder`: whether kohya's names do not number it; whether trainers number them differently;
/// - `t5`: the name that diffusers' pipeline has for T5;
/// - `perceptron`: how many times as wide as its input the first layer of a perceptron is;
/// - `kohya-version`, `kohya-metadata`, `architecture`: what metadata says of it (the last as in ModelSpec 1.0.1);
/// - `blocks`: the blocks that a list of block weights means;
/// - `takes-adapters-of`: another family whose adapters it takes;
/// - `read-by`, `passed-over-by`: a program, and a dialect that it reads, or does not, unlike for other families;
/// - `diffusers-loader xl`: whether diffusers has SDXL's way of reading kohya's names;
/// - `unused`: beginnings of names in the text encoder that nothing uses; `latent-scale`; `not-a-base-model`.
///
/// Source: the detection tables of ComfyUI and diffusers' single-file loader; the trainers' and loaders' code.
struct FamilyFacts: Sendable {
  let name: String
  /// The whole file.
  let text: String
  private let lines: [(fact: Substring, words: [Substring])]
  /// The rest of the file: the map of its own names.
  let namesText: Substring?

  /// - Precondition: `text` is a family's file: these are part of the program.
  init(text: String) {
    // Every command reads all of these files: the map behind a family's facts is only gone past.
    self.text = text
    let mark = "\nnames\n", end = text.offset(of: mark, after: 0)
    lines = Substring(text.utf8.prefix(end)).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
      let words = line.split(separator: " ")
      return (words[0], Array(words.dropFirst()))
    }
    namesText = end < text.utf8.count ? Substring(text.utf8.dropFirst(end + mark.utf8.count)) : nil
    name = lines.first { $0.fact == "family" }!.words.joined(separator: " ")
  }

  func has(_ fact: String) -> Bool { lines.contains { $0.fact == fact } }

  /// What a fact says, as it stands there.
  func text(_ fact: String) -> String? { lines.first { $0.fact == fact }?.words.joined(separator: " ") }

  func number(_ fact: String) -> Double? { text(fact).flatMap { Double($0) } }

  /// The words of all lines about a fact.
  func words(_ fact: String) -> [Substring] { all(fact).flatMap(\.self) }

  /// The words of each line about a fact.
  func all(_ fact: String) -> [[Substring]] { lines.filter { $0.fact == fact }.map(\.words) }
}

extension FamilyFacts {
  /// All families.
  static let all: [FamilyFacts] = [
    PackageResources.others_family, PackageResources.sd1_family, PackageResources.sd2_family,
    PackageResources.sdxl_family, PackageResources.sdxl_refiner_family, PackageResources.sd3_family,
    PackageResources.hunyuan_video_1_5_family, PackageResources.hunyuan_image_family,
    PackageResources.longcat_image_family, PackageResources.flux1_family, PackageResources.flux2_family,
    PackageResources.chroma_family, PackageResources.hunyuan_video_family, PackageResources.wan_family,
    PackageResources.qwen_image_family,
    PackageResources.qwen_image_2_1_family, PackageResources.z_image_family, PackageResources.lumina2_family,
    PackageResources.ltx_video_family, PackageResources.pixart_family, PackageResources.sana_family,
    PackageResources.auraflow_family, PackageResources.anima_family, PackageResources.cosmos_predict2_family,
    PackageResources.krea2_family, PackageResources.ideogram4_family, PackageResources.minimax_h3_family,
    PackageResources.ernie_image_family, PackageResources.hidream_i1_family, PackageResources.ace_step_family,
    PackageResources.kandinsky5_family, PackageResources.cogvideox_family, PackageResources.mochi_family,
    PackageResources.language_model_family,
  ].map { FamilyFacts(text: String(decoding: $0, as: UTF8.self)) }
}
