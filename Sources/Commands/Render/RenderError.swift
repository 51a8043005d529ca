/// Why pictures could not be rendered, where no room below has a word for it.
struct RenderError: Error, CustomStringConvertible {
  enum Kind {
    case noPrompts
    case unreadablePrompts
    case promptsNotText
    case emptyPrompts
    case longPrompts(limit: Int)
    /// A tag names an adapter that is in none of the folders.
    case noAdapter(tag: String, folders: [String])
    case adapterAsBase
    case reduction(expected: Int, found: Int)
    case latentChannels(expected: Int, denoiser: String, found: Int)
  }

  let kind: Kind
  let path: String

  init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  var description: String {
    switch kind {
    case .noPrompts: "\(path): no such file"
    case .unreadablePrompts: "\(path): cannot read"
    case .promptsNotText: "\(path): prompts: expected UTF-8 text, found other bytes"
    case .emptyPrompts: "\(path): prompts: expected at least one line that is no comment, found none"
    case .longPrompts(let limit): "\(path): prompts: expected at most \(limit) bytes, found more"
    case .noAdapter(let tag, let folders):
      "prompt: <lora:\(tag)>: expected \(tag).safetensors in \(folders.joined(separator: ", ")), found none; hint: "
        + "--adapter-folder names another folder"
    case .adapterAsBase:
      "\(path): expected a base checkpoint, found an adapter; hint: lathe render BASE ADAPTER@0.8 --prompt TEXT -o OUT.png"
    case .reduction(let expected, let found):
      "\(path): autoencoder: expected \(expected) pixels for each latent one as the model has it, found \(found)"
    case .latentChannels(let expected, let denoiser, let found):
      "\(path): autoencoder: expected latents of \(expected) channels as the \(denoiser) makes them, found \(found); hint: "
        + "autoencoders of Stable Diffusion 3, Flux and their like have 16"
    }
  }

  var exitCode: Int32 {
    switch kind {
    case .noPrompts, .noAdapter: 66
    case .unreadablePrompts: 74
    case .promptsNotText, .emptyPrompts, .longPrompts, .adapterAsBase, .reduction, .latentChannels: 65
    }
  }
}
