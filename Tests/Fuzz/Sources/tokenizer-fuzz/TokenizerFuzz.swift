import FuzzInputs
import Prompts

/// Reads a tokenizer's tables.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let (merges, vocabulary) = FuzzInput.tokenizer(array(data, count))
  guard let tokenizer = try? CLIPTokenizer(merges: merges, vocabulary: vocabulary) else { return 0 }
  _ = tokenizer.ids(of: "Cat, dog 12 don't <|endoftext|> \(merges.prefix(200))")
  return 0
}
