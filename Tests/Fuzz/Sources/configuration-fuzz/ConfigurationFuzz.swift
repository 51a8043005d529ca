import Checkpoints
import Diffusion
import Foundation
import FuzzInputs

/// A copy of Toybox in which one configuration after the other is replaced.
private let model: String = {
  let files = FileManager.default, folder = NSTemporaryDirectory() + "/model"
  let source = ProcessInfo.processInfo.environment["LATHE_TOYBOX"]!
  try? files.copyItem(atPath: source, toPath: folder)
  return folder
}()

private let configurations = [
  "unet/config.json", "text_encoder/config.json", "vae/config.json", "scheduler/scheduler_config.json",
  "tokenizer/tokenizer_config.json", "model_index.json",
]

/// Opens a model with a configuration of a stranger: the first byte says which, the others are its text.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = array(data, count)
  guard let first = bytes.first else { return 0 }
  let path = "\(model)/\(configurations[Int(first) % configurations.count])"
  guard let usual = FileManager.default.contents(atPath: path) else { return 0 }
  defer { FileManager.default.createFile(atPath: path, contents: usual) }
  FileManager.default.createFile(atPath: path, contents: Data(bytes.dropFirst()))
  guard let checkpoint = try? Checkpoint(path: model) else { return 0 }
  _ = try? PictureModel(checkpoint)
  _ = try? AutoencoderConfiguration(of: checkpoint)
  return 0
}
