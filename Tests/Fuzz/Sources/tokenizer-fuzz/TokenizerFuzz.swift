import FuzzInputs
import Prompts

/// Reads a tokenizer's tables: the merges, and behind a zero the vocabulary.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let parts = array(data, count).split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  let merges = String(decoding: parts[0], as: UTF8.self)
  let vocabulary = parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : nil
  guard let tokenizer = try? CLIPTokenizer(merges: merges, vocabulary: vocabulary) else { return 0 }
  _ = tokenizer.ids(of: "Cat, dog 12 don't <|endoftext|> \(merges.prefix(200))")
  return 0
}
