import FuzzInputs
import Images

/// Reads a picture, and what it says about its making.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = array(data, count)
  _ = GenerationParameters(text: String(decoding: bytes, as: UTF8.self))
  for file in [bytes, FuzzInput.png(bytes)] {
    if let parameters = (try? PNGPicture(file))?.parameters { _ = GenerationParameters(text: parameters) }
  }
  return 0
}
