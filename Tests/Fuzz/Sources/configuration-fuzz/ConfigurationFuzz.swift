import Checkpoints
import Foundation
import FuzzInputs
import Networks
import Rendering
import Sampling

private let model: StrangeModel = {
  do {
    return try StrangeModel(
      copying: ProcessInfo.processInfo.environment["LATHE_TOYBOX"]!, to: NSTemporaryDirectory() + "/model")
  } catch { fatalError("\(error)") }
}()

/// Opens a model with a configuration of a stranger, and begins its schedules.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  try? model.replacing(array(data, count)) {
    let checkpoint = try Checkpoint(path: model.folder)
    _ = try? AutoencoderConfiguration(of: checkpoint)
    let settings = try PictureModel(checkpoint).scheduler
    for kind in SamplerKind.allCases { _ = try? Sampler(kind, settings: settings, steps: 3) }
  }
  return 0
}
