import FuzzInputs
import Images

/// Reads a picture, and what it says about its making.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = array(data, count)
  _ = GenerationParameters(text: String(decoding: bytes, as: UTF8.self))
  guard let picture = try? PNGPicture(bytes) else { return 0 }
  if let parameters = picture.parameters { _ = GenerationParameters(text: parameters) }
  return 0
}
