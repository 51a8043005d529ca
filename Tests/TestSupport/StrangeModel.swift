import FoundationEssentials

/// A copy of Toybox in which one configuration after the other is a stranger's.
public struct StrangeModel: Sendable {
  public let folder: String

  private static let configurations = [
    "unet/config.json", "text_encoder/config.json", "vae/config.json", "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json", "model_index.json",
  ]

  /// - Parameter folder: of the copy; what is there goes.
  public init(copying toybox: String, to folder: String) throws {
    self.folder = folder
    let files = FileManager.default
    if files.fileExists(atPath: folder) { try files.removeItem(atPath: folder) }
    try files.copyItem(atPath: toybox, toPath: folder)
    // One weight for each network and no tables: to find the places of all takes longer than all else together.
    for table in ["merges.txt", "vocab.json"] { try files.removeItem(atPath: "\(folder)/tokenizer/\(table)") }
    for (file, weight) in [
      ("unet/diffusion_pytorch_model", "conv_in.weight"), ("vae/diffusion_pytorch_model", "decoder.conv_in.weight"),
      ("text_encoder/model", "text_model.embeddings.token_embedding.weight"),
    ] {
      let header = "{\"\(weight)\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
      let bytes = RawSafetensors(header: header, data: [0, 0, 0, 0]).bytes
      try Data(bytes).write(to: URL(filePath: "\(folder)/\(file).safetensors"))
    }
  }

  /// Calls `body` while a configuration, which the first byte says, has the other bytes as its text.
  public func replacing(_ input: [UInt8], _ body: () throws -> Void) throws {
    guard let first = input.first else { return }
    let path = URL(filePath: "\(folder)/\(Self.configurations[Int(first) % Self.configurations.count])")
    let usual = try Data(contentsOf: path)
    try Data(input.dropFirst()).write(to: path)
    defer { try? usual.write(to: path) }
    try body()
  }
}
